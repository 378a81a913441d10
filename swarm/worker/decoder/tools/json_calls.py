"""Calls written as JSON, read character by character: arguments are passed on while they are written."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Literal

from swarm.worker.decoder.tools.parts import ArgumentsPiece, CallBegun, Part, Text

BLANKS = " \t\r\n"
SEPARATORS = BLANKS + ",;"
NAME_KEYS = ("name", "tool_name")
ARGUMENTS_KEYS = ("arguments", "parameters")
_HEADER_MARKS = re.compile(r"\[ARGS\]|\[CALL_ID\][^\[]*|<｜tool▁sep｜>|<\|tool_call_argument_begin\|>|[\s>]|```json")
_HEADER_NOISE = re.compile(r"^functions?\.|:\d+$")


class JsonValue:
    """One value of JSON, whatever it is; nothing is checked but where it ends."""

    def __init__(self) -> None:
        self.text = ""
        self._depth = 0
        self._in_string = self._escaped = False

    def add(self, character: str) -> Literal["more", "last", "behind"]:
        """`last`: the value ends with this character. `behind`: it ended before it."""
        if not self.text and character in BLANKS:
            return "more"
        if not self._in_string and self._depth == 0 and self.text and (character in BLANKS or character in ",}]"):
            return "behind"
        self.text += character
        if self._in_string:
            self._within_string(character)
        elif character == '"':
            self._in_string = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1
        ends = character in '"}]' and not self._in_string and self._depth == 0
        return "last" if ends else "more"

    def _within_string(self, character: str) -> None:
        if self._escaped:
            self._escaped = False
        elif character == "\\":
            self._escaped = True
        elif character == '"':
            self._in_string = False


class JsonCalls:
    """`{"name": …, "arguments": …}`, a list of such, or a name with the marks of its family before the arguments.

    `known`: names that count; None: all do. What turns out to be no call is given back as text."""

    def __init__(self, known: Collection[str] | None = None, *, headers: bool = True) -> None:
        self._known, self._headers = known, headers
        self._state: Literal["between", "header", "key", "colon", "value", "after"] = "between"
        self._in_list = self._in_object = False
        self._raw = ""
        """Of the call that is being read, as long as it may be none."""
        self._name: str | None = None
        self._key = ""
        self._value = JsonValue()
        self._arguments: str | None = None
        self.is_done = False

    def feed(self, text: str) -> tuple[list[Part], str]:
        """The parts, and what is behind the calls once they are done."""
        parts: list[Part] = []
        for at, character in enumerate(text):
            if not self._add(character, parts):
                return _joined(parts), text[at:]
            if self.is_done:
                return _joined(parts), text[at + 1 :]
        return _joined(parts), ""

    def finish(self) -> list[Part]:
        """The text ends here."""
        parts: list[Part] = []
        self._break(parts)
        return parts

    def _add(self, character: str, parts: list[Part]) -> bool:
        """False where the character is none of the calls': they are done."""
        match self._state:
            case "between":
                return self._between(character, parts)
            case "header":
                self._in_header(character, parts)
            case "value":
                self._in_value(character, parts)
            case _:
                self._in_object_at(character, parts)
        return True

    def _between(self, character: str, parts: list[Part]) -> bool:
        if character == "{":
            self._name, self._arguments = None, None
            self._in_object, self._state = True, "key"
        elif character == "[" and not self._in_list:
            self._in_list = True
        elif character == "]" and self._in_list:
            self.is_done = True
        elif self._headers and not self._in_list and character not in SEPARATORS:
            self._name, self._in_object, self._state = None, False, "header"
        elif character not in SEPARATORS:
            self._break(parts)
            return False
        self._raw += character
        return True

    def _in_header(self, character: str, parts: list[Part]) -> None:
        if character != "{":
            self._raw += character
            return
        words = [word for word in _HEADER_MARKS.split(self._raw) if word and word != "function"]
        self._begin(_HEADER_NOISE.sub("", words[0]) if words else "", parts)
        if self._name is not None:
            self._key, self._value, self._state = ARGUMENTS_KEYS[0], JsonValue(), "value"
            self._in_value(character, parts)

    def _in_object_at(self, character: str, parts: list[Part]) -> None:
        if self._name is None:
            self._raw += character
        if character in BLANKS:
            return
        if self._state == "key" and character == '"':
            self._key, self._value, self._state = "", JsonValue(), "value"
            self._value.add(character)
        elif self._state == "colon" and character == ":":
            self._value, self._state = JsonValue(), "value"
        elif self._state == "after" and character == ",":
            self._state = "key"
        elif self._state in ("after", "key") and character == "}":
            self._close(parts)
        else:
            self._break(parts)

    def _in_value(self, character: str, parts: list[Part]) -> None:
        before = len(self._value.text)
        said = self._value.add(character)
        is_arguments = self._key in ARGUMENTS_KEYS
        if self._name is None and said != "behind":
            self._raw += character
        if is_arguments and self._name is not None and self._value.text[:1] not in ("", '"'):
            parts.append(ArgumentsPiece(self._value.text[before:]))
            self._arguments = ""
        if said == "more":
            return
        if not self._key and self._in_object:
            self._key, self._state = _string(self._value.text) or "?", "colon"
            return
        self._told(parts)
        if not self._in_object:
            self.is_done = True
            return
        self._state = "after"
        if said == "behind":
            self._in_object_at(character, parts)

    def _told(self, parts: list[Part]) -> None:
        """A member of the object is whole."""
        if self._key in NAME_KEYS and self._name is None:
            self._begin(_string(self._value.text) or "", parts)
        elif self._key in ARGUMENTS_KEYS and self._arguments is None:
            self._arguments = _string(self._value.text) or self._value.text
            if self._name is not None:
                parts.append(ArgumentsPiece(self._arguments))

    def _begin(self, name: str, parts: list[Part]) -> None:
        if not name or (self._known is not None and name not in self._known):
            self._break(parts)
            return
        self._name, self._raw = name, ""
        parts.append(CallBegun(name))
        if self._arguments is not None:
            parts.append(ArgumentsPiece(self._arguments))

    def _close(self, parts: list[Part]) -> None:
        if self._name is None:
            self._break(parts)
            return
        if self._arguments is None:
            parts.append(ArgumentsPiece("{}"))
        self._state, self._raw, self._in_object = "between", "", False
        self.is_done = self._headers and not self._in_list

    def _break(self, parts: list[Part]) -> None:
        """What was read is no call, or one that breaks off; between calls it is nothing."""
        if self._raw.strip(SEPARATORS + "]") and self._name is None:
            parts.append(Text(self._raw))
        self._raw, self.is_done = "", True


def _string(text: str) -> str | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, str) else None


def _joined(parts: list[Part]) -> list[Part]:
    """Pieces of arguments that follow each other as one."""
    made: list[Part] = []
    for part in parts:
        last = made[-1] if made else None
        if isinstance(part, ArgumentsPiece) and isinstance(last, ArgumentsPiece):
            made[-1] = ArgumentsPiece(last.text + part.text)
        elif not isinstance(part, ArgumentsPiece) or part.text:
            made.append(part)
    return made
