"""Calls that are not written as JSON: they are read once they are whole."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from swarm.worker.decoder.tools.json_calls import BLANKS, JsonCalls
from swarm.worker.decoder.tools.parts import ArgumentsPiece, CallBegun, Marks, Part, Text

Schemas = Mapping[str, Mapping[str, Any]]
"""JSON Schema of the parameters by name of the function."""
Call = tuple[str, dict[str, Any]]
Reading = Callable[[str, Schemas], list[Call]]

_FUNCTION = re.compile(r"<function=([^>\n]+)>(.*?)</function>", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([^>\n]+)>(.*?)</parameter>", re.DOTALL)
_PAIR = re.compile(r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>", re.DOTALL)


class WholeCalls:
    """Text up to `close`, as the family's reading makes calls of it. JSON is read, too: an answer that must call
    something is held to JSON."""

    def __init__(self, read: Reading, schemas: Schemas, close: str) -> None:
        self._read, self._schemas, self._close = read, schemas, Marks((close,))
        self._text = ""
        self.is_done = False

    def feed(self, text: str) -> tuple[list[Part], str]:
        self._text += text
        found = self._close.first(self._text)
        if found is None:
            return [], ""
        rest = self._text[found[0] :]
        self._text, self.is_done = self._text[: found[0]], True
        return self.finish(), rest

    def finish(self) -> list[Part]:
        text, self._text = self._text, ""
        if text.lstrip().startswith("{"):
            reader = JsonCalls()
            parts, _ = reader.feed(text)
            return [*parts, *reader.finish()]
        return _parts(text, self._read, self._schemas)


class PythonCalls:
    """`[f(a=1), g(b="x")]` at the start of the text; anything else is text."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas
        self._text = ""
        self.is_done = False

    def feed(self, text: str) -> tuple[list[Part], str]:
        for at, character in enumerate(text):
            self._text += character
            if character == "]" and (calls := _python_calls(self._text, self._schemas)):
                self.is_done = True
                return _as_parts(calls), text[at + 1 :]
        return [], ""

    def finish(self) -> list[Part]:
        return [Text(self._text)] if self._text else []


def function_tags(text: str, schemas: Schemas) -> list[Call]:
    """`<function=NAME><parameter=KEY>VALUE</parameter>…</function>`."""
    return [
        (name, _arguments(_PARAMETER.findall(body), schemas.get(name, {}))) for name, body in _FUNCTION.findall(text)
    ]


def key_value_tags(text: str, schemas: Schemas) -> list[Call]:
    """`NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>…`."""
    name = text.split("<arg_key>")[0].strip()
    return [(name, _arguments(_PAIR.findall(text), schemas.get(name, {})))] if name else []


def _arguments(pairs: list[tuple[str, str]], schema: Mapping[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties")
    rules = properties if isinstance(properties, dict) else {}
    return {key.strip(): _value(value, rules.get(key.strip())) for key, value in pairs}


def _value(text: str, rule: Any) -> Any:
    """As text where the schema wants a string, and where it is no JSON."""
    text = text.removeprefix("\n").removesuffix("\n")
    if isinstance(rule, dict) and rule.get("type") == "string":
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _python_calls(text: str, schemas: Schemas) -> list[Call]:
    try:
        tree = ast.parse(text.strip(BLANKS), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    calls = tree.elts if isinstance(tree, ast.List) else []
    read = [_python_call(call) for call in calls]
    made = [call for call in read if call is not None and call[0] in schemas]
    return made if len(made) == len(read) else []


def _python_call(tree: ast.expr) -> Call | None:
    if not isinstance(tree, ast.Call) or tree.args:
        return None
    try:
        arguments = {str(word.arg): ast.literal_eval(word.value) for word in tree.keywords}
        json.dumps(arguments)
    except (ValueError, TypeError, RecursionError):
        return None
    return ast.unparse(tree.func), arguments


def _parts(text: str, read: Reading, schemas: Schemas) -> list[Part]:
    calls = read(text, schemas)
    return _as_parts(calls) if calls or not text.strip() else [Text(text)]


def _as_parts(calls: list[Call]) -> list[Part]:
    return [
        part
        for name, arguments in calls
        for part in (CallBegun(name), ArgumentsPiece(json.dumps(arguments, ensure_ascii=False)))
    ]
