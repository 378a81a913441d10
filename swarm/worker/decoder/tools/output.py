"""The raw text of an answer as reasoning, visible text and calls. How it is cut into pieces changes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from swarm.domain.tools import ToolSpec
from swarm.worker.decoder.tools.formats import ToolFormat
from swarm.worker.decoder.tools.harmony import HarmonyReader
from swarm.worker.decoder.tools.json_calls import BLANKS, JsonCalls
from swarm.worker.decoder.tools.parts import CallBegun, Marks, Part, Reasoning, Text
from swarm.worker.decoder.tools.whole_calls import PythonCalls, WholeCalls, function_tags, key_value_tags


@dataclass(frozen=True, slots=True)
class ThinkingMarks:
    open: str
    close: str


class OutputReader(Protocol):
    opened: str | None
    """What the text has behind the mark that begins a call, right after it was found; else None."""

    @property
    def thinking(self) -> bool: ...

    @property
    def in_call(self) -> bool: ...

    def feed(self, text: str) -> list[Part]: ...

    def finish(self) -> list[Part]:
        """What was held back; the answer ends here."""
        ...


class CallReader(Protocol):
    is_done: bool

    def feed(self, text: str) -> tuple[list[Part], str]: ...

    def finish(self) -> list[Part]: ...


class MarkedOutput:
    """Reasoning first, between its marks; then text, in which marks of the family begin calls."""

    def __init__(
        self, thinking: ThinkingMarks | None, thinks: bool, format: ToolFormat | None, tools: Sequence[ToolSpec] = ()
    ) -> None:
        """`thinks`: the prompt ends within the reasoning. Without a `format` there are no calls."""
        self._thinking, self._format = thinking, format
        self._schemas = {tool.name: _schema(tool) for tool in tools}
        self._state: Literal["start", "thinking", "text", "call"] = "thinking" if thinks else "start"
        self._held = ""
        self._calls: CallReader | None = None
        self._has_called = False
        self._tidies = thinks
        """Blanks at the start and around calls are left out."""
        self.opened: str | None = None

    @property
    def thinking(self) -> bool:
        return self._state == "thinking"

    @property
    def in_call(self) -> bool:
        return self._state == "call"

    def feed(self, text: str) -> list[Part]:
        self.opened = None
        self._held += text
        parts: list[Part] = []
        while self._go_on(parts):
            pass
        return parts

    def finish(self) -> list[Part]:
        parts: list[Part] = []
        if self._state == "start":
            self._state = "text"
            while self._go_on(parts):
                pass
        held, self._held = self._held, ""
        if self._state == "thinking":
            return [*parts, Reasoning(held)] if held else parts
        if self._calls is not None:
            parts += self._counted([*self._calls.feed(held)[0], *self._calls.finish()])
        elif held.strip(BLANKS) or (held and not self._has_called and not self._tidies):
            parts.append(Text(held))
        return parts

    def _go_on(self, parts: list[Part]) -> bool:
        """Reads as far as one state reaches; False where more text is needed."""
        match self._state:
            case "start":
                return self._start()
            case "thinking":
                return self._think(parts)
            case "text":
                return self._speak(parts)
            case "call":
                return self._call(parts)

    def _start(self) -> bool:
        begun = self._held.lstrip(BLANKS)
        open = self._thinking.open if self._thinking else ""
        if open and begun.startswith(open):
            self._held, self._state, self._tidies = begun[len(open) :], "thinking", True
        elif not begun or (open and open.startswith(begun)):
            return False
        elif self._format and self._format.reader in ("bare_json", "python") and begun[0] in "[{":
            self._begin_call(self._bare_reader())
        else:
            self._state = "text"
        return True

    def _think(self, parts: list[Part]) -> bool:
        assert self._thinking is not None
        marks = Marks((self._thinking.close,))
        found = marks.first(self._held)
        said = self._held[: found[0] if found else len(self._held) - marks.begun(self._held)]
        if said:
            parts.append(Reasoning(said))
        self._held = self._held[len(said) :]
        if found is None:
            return False
        self._held, self._state = self._held[len(found[1]) :], "start"
        self._thinking = None
        return True

    def _speak(self, parts: list[Part]) -> bool:
        marks = Marks(self._format.marks if self._format else ())
        if self._tidies or self._has_called:
            self._held = self._held.lstrip(BLANKS)
        found = marks.first(self._held)
        said = self._held[: found[0] if found else len(self._held) - marks.begun(self._held)]
        # Blanks before a call are none of the text; whether one comes is not known yet.
        said = said.rstrip(BLANKS) if self._format else said
        if said:
            parts.append(Text(said))
            self._tidies = self._has_called = False
        self._held = self._held[len(said) :]
        if found is None or self._format is None:
            return False
        self._held = self._held.lstrip(BLANKS)[len(found[1]) :]
        if found[1] in self._format.opens:
            self._begin_call(self._reader())
            self.opened = self._held
        else:
            self._has_called = True
        return True

    def _begin_call(self, reader: CallReader) -> None:
        self._state, self._calls = "call", reader

    def _call(self, parts: list[Part]) -> bool:
        assert self._calls is not None
        text, self._held = self._held, ""
        made, rest = self._calls.feed(text)
        parts += self._counted(made)
        if not self._calls.is_done:
            return False
        self._held, self._state, self._calls = rest, "text", None
        return True

    def _counted(self, parts: list[Part]) -> list[Part]:
        self._has_called = self._has_called or any(isinstance(part, CallBegun) for part in parts)
        return parts

    def _reader(self) -> CallReader:
        assert self._format is not None
        match self._format.reader:
            case "function_tags":
                return WholeCalls(function_tags, self._schemas, self._format.closes[0])
            case "key_value_tags":
                return WholeCalls(key_value_tags, self._schemas, self._format.closes[0])
            case "python":
                return PythonCalls(self._schemas)
            case _:
                return JsonCalls()

    def _bare_reader(self) -> CallReader:
        if self._format and self._format.reader == "python" and self._held.lstrip(BLANKS)[0] == "[":
            return PythonCalls(self._schemas)
        return JsonCalls(self._schemas, headers=False)


def open_output(
    thinking: ThinkingMarks | None, thinks: bool, format: ToolFormat | None, tools: Sequence[ToolSpec]
) -> OutputReader:
    if format is not None and format.reader == "harmony":
        return HarmonyReader()
    return MarkedOutput(thinking, thinks, format if tools else None, tools)


def _schema(tool: ToolSpec) -> Mapping[str, Any]:
    try:
        schema = json.loads(tool.parameters)
    except (ValueError, RecursionError):
        return {}
    return schema if isinstance(schema, dict) else {}
