"""gpt-oss: an answer is a row of messages, `<|channel|>NAME[ to=functions.F]<|message|>CONTENT<|end|>`."""

from __future__ import annotations

from typing import Literal

from swarm.worker.decoder.tools.parts import ArgumentsPiece, CallBegun, Marks, Part, Reasoning, Text

START, CHANNEL, MESSAGE = "<|start|>", "<|channel|>", "<|message|>"
ENDS = ("<|end|>", "<|call|>", "<|return|>", START, CHANNEL)
MARKS = (*ENDS, MESSAGE, "<|constrain|>")
FUNCTIONS = "to=functions."


class HarmonyReader:
    """The channel `analysis` is reasoning; a message to a function is a call; all else is text."""

    def __init__(self) -> None:
        self._held = ""
        self._kind: Literal["header", "reasoning", "call", "text"] = "header"
        self.opened: str | None = None

    @property
    def thinking(self) -> bool:
        return self._kind == "reasoning"

    @property
    def in_call(self) -> bool:
        return self._kind == "call"

    def feed(self, text: str) -> list[Part]:
        self._held += text
        parts: list[Part] = []
        while self._go_on(parts, final=False):
            pass
        return parts

    def finish(self) -> list[Part]:
        parts: list[Part] = []
        while self._go_on(parts, final=True):
            pass
        return parts

    def _go_on(self, parts: list[Part], *, final: bool) -> bool:
        if self._kind == "header":
            header, mark, rest = self._held.partition(MESSAGE)
            if not mark:
                return False
            self._held = rest
            self._begin(header, parts)
            return True
        marks = Marks(ENDS)
        found = marks.first(self._held)
        begun = 0 if final else marks.begun(self._held)
        said = self._held[: found[0] if found else len(self._held) - begun]
        if said:
            parts.append(self._part(said))
        self._held = self._held[len(said) + (len(found[1]) if found else 0) :]
        if found is None:
            return False
        self._kind = "header"
        return True

    def _begin(self, header: str, parts: list[Part]) -> None:
        _, is_call, name = header.partition(FUNCTIONS)
        if is_call:
            self._kind = "call"
            parts.append(CallBegun(name.split("<")[0].split()[0] if name.split("<")[0].split() else ""))
        else:
            self._kind = "reasoning" if "analysis" in header else "text"

    def _part(self, said: str) -> Part:
        match self._kind:
            case "reasoning":
                return Reasoning(said)
            case "call":
                return ArgumentsPiece(said)
            case _:
                return Text(said)
