"""JSON answers and tool calls: what is equal as JSON is the same answer, and what breaks the schema is none."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import rfc8785
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match
from referencing import Registry
from referencing.exceptions import Unresolvable

from swarm.domain.answers import ToolCall

DEEPEST = 64
"""Levels of nesting; deeper JSON is a stranger's attempt at our stack."""

_FENCED = re.compile(r"\A```(?:json)?\s*\n(.*)\n```\Z", re.DOTALL | re.IGNORECASE)
_OPENING, _CLOSING = frozenset("[{"), frozenset("]}")
_SCHEMAS: Registry[Any] = Registry()
"""Empty, and without a way to fetch: a `$ref` to elsewhere is an error, never a request on the network."""


def parse_json(text: str) -> Any:
    """The value of a text that is JSON and nothing else, fenced or not. Raises `ValueError` for any other text, for
    keys that occur twice, for numbers that are not finite, and for nesting beyond `DEEPEST`."""
    fenced = _FENCED.match(text)
    body = (fenced.group(1) if fenced else text).strip()
    if body.startswith(("{", "[")) and _depth(body) > DEEPEST:
        raise ValueError(f"nested deeper than {DEEPEST} levels")
    return json.loads(body, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)


def json_key(value: Any) -> str:
    """RFC 8785; sorted keys where it has no form for a number, such as 64-bit ids, which no double holds."""
    try:
        return rfc8785.dumps(value).decode()
    except rfc8785.CanonicalizationError:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def calls_key(calls: Sequence[ToolCall], tools: Mapping[str, Mapping[str, Any]]) -> str:
    """Names and arguments in the order of the calls. Arguments that are not JSON stand as they were written."""
    return json_key([[call.name, _arguments(call, tools.get(call.name, {}))] for call in calls])


def why_call_invalid(call: ToolCall, tools: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The reason not to count a call, in words that hold nothing of what the node wrote."""
    if call.name not in tools:
        return "it calls a tool that the request does not offer"
    try:
        value = parse_json(call.arguments or "{}")
    except ValueError:
        return "the arguments of its call are not JSON"
    broken = why_not_of_schema(_conformed(value, tools[call.name]), tools[call.name])
    return f"the arguments of its call break the schema: {broken}" if broken else None


def why_not_of_schema(value: Any, schema: Mapping[str, Any]) -> str | None:
    """Which rule of the schema is broken; None where none is, or where the schema itself cannot be read."""
    try:
        Draft202012Validator.check_schema(schema)
        error = best_match(Draft202012Validator(schema, registry=_SCHEMAS).iter_errors(value))
    except (SchemaError, Unresolvable, RecursionError):
        return None
    return None if error is None else f"“{error.validator}”"


def _arguments(call: ToolCall, schema: Mapping[str, Any]) -> Any:
    try:
        return _conformed(parse_json(call.arguments or "{}"), schema)
    except ValueError:
        return f"not JSON: {call.arguments}"


def _conformed(value: Any, schema: Any) -> Any:
    """With the schema's defaults, and with strings that hold the number or truth value that it wants as just that."""
    if not isinstance(schema, Mapping):
        return value
    match value:
        case dict():
            properties = schema.get("properties")
            wanted: Mapping[str, Any] = properties if isinstance(properties, Mapping) else {}
            defaults = {
                name: rule["default"]
                for name, rule in wanted.items()
                if isinstance(rule, Mapping) and "default" in rule
            }
            return {name: _conformed(item, wanted.get(name)) for name, item in (defaults | value).items()}
        case list():
            return [_conformed(item, schema.get("items")) for item in value]
        case str():
            return _coerced(value, schema.get("type"))
        case _:
            return value


def _coerced(text: str, wanted: Any) -> Any:
    match wanted:
        case "integer" if re.fullmatch(r"-?\d{1,30}", text, re.ASCII):
            return int(text)
        case "number" if re.fullmatch(r"-?\d{1,30}(?:\.\d{1,30})?", text, re.ASCII):
            return float(text) if "." in text else int(text)
        case "boolean" if text in ("true", "false"):
            return text == "true"
        case _:
            return text


def _depth(text: str) -> int:
    """Of brackets, also of those in strings: an upper bound will do."""
    depth = deepest = 0
    for character in re.findall(r"[\[\]{}]", text):
        depth += (character in _OPENING) - (character in _CLOSING)
        deepest = max(deepest, depth)
    return deepest


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key occurs twice")
    return dict(pairs)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
