"""The form of one answer: what it may hold, and what of its raw text is reasoning, text and calls."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import torch

from swarm.domain.tools import ToolCallDelta
from swarm.wire.worker_events import Generated
from swarm.worker.decoder.grammar.constraint import Constraint
from swarm.worker.decoder.tools.output import OutputReader
from swarm.worker.decoder.tools.parts import ArgumentsPiece, CallBegun, Part, Reasoning, Text

MISTRAL_ID_CHARS = 9


class Guide(Constraint, Protocol):
    """A constraint that must know how the answer is read."""

    def hear(self, output: OutputReader) -> None: ...


class Form:
    """Stateful; an answer that goes on elsewhere comes to the same state by its tokens and their text."""

    def __init__(
        self,
        output: OutputReader | None = None,
        guide: Guide | None = None,
        *,
        several: bool = True,
        id_chars: int = 24,
        seen: Sequence[int] = (),
    ) -> None:
        """`several`: calls; else the answer ends with the first. `seen`: special tokens that belong to the text."""
        self._output, self._guide = output, guide
        self._several, self._id_chars = several, id_chars
        self.seen = frozenset(seen)
        self._calls = 0
        self._held: Generated | None = None
        """Tokens whose text is not told yet."""

    @property
    def finished(self) -> bool:
        """Nothing may follow."""
        if self._guide is not None and self._guide.finished:
            return True
        has_called = self._output is not None and self._calls > 0 and not self._output.in_call
        return not self._several and (has_called or self._calls > 1)

    @property
    def complete(self) -> bool:
        """The answer has the form that was asked for, as it stands."""
        return self._guide is not None and self._guide.complete

    def allowed(self) -> torch.Tensor | None:
        """[vocabulary] of bool; None where every token may come."""
        return self._guide.allowed() if self._guide else None

    def take(self, token: int, left: int) -> int:
        """The token that the answer goes on with, in place of the one that was drawn. `left`: how many it may still
        have, with this one."""
        return self._guide.take(token, left) if self._guide else token

    def recall(self, token: int, text: str, left: int) -> None:
        """A token that was sent before, and the text that it completed."""
        self.take(token, left)
        self._read(text)

    def shaped(self, piece: Generated | None) -> Generated | None:
        """The piece as it is told; None where that is nothing yet."""
        if piece is None or self._output is None:
            return piece
        return self._told(piece, self._read(piece.text))

    def last(self, piece: Generated) -> Generated:
        """The last piece, with all that was held back."""
        if self._output is None:
            return piece
        parts = [*self._read(piece.text), *self._output.finish()]
        told = self._told(piece, parts, final=True)
        assert told is not None
        return replace(told, finish_reason="tool_calls") if self._calls and told.finish_reason == "stop" else told

    def _read(self, text: str) -> list[Part]:
        if self._output is None:
            return []
        parts = self._output.feed(text)
        if self._guide is not None:
            self._guide.hear(self._output)
        return parts

    def _told(self, piece: Generated, parts: Sequence[Part], *, final: bool = False) -> Generated | None:
        text = "".join(part.text for part in parts if isinstance(part, Text))
        reasoning = "".join(part.text for part in parts if isinstance(part, Reasoning))
        calls = tuple(self._deltas(parts))
        whole = replace(_joined(self._held, piece), text=text, reasoning=reasoning, tool_calls=calls)
        self._held = None
        if final or text or reasoning or calls:
            # Of what is no text nothing is told but the text itself.
            return whole if text else replace(whole, token_logprobs=())
        self._held = whole
        return None

    def _deltas(self, parts: Sequence[Part]) -> list[ToolCallDelta]:
        deltas: list[ToolCallDelta] = []
        for part in parts:
            if isinstance(part, CallBegun):
                self._calls += 1
                if self._tells_call:
                    deltas.append(ToolCallDelta(self._calls - 1, self._new_id(), part.name))
            elif isinstance(part, ArgumentsPiece) and self._tells_call:
                deltas.append(ToolCallDelta(self._calls - 1, arguments=part.text))
        return deltas

    @property
    def _tells_call(self) -> bool:
        return self._several or self._calls == 1

    def _new_id(self) -> str:
        if self._id_chars == MISTRAL_ID_CHARS:
            return secrets.token_hex(5)[:MISTRAL_ID_CHARS]
        return f"call_{secrets.token_hex(self._id_chars // 2)}"


def _joined(held: Generated | None, piece: Generated) -> Generated:
    if held is None:
        return piece
    return replace(
        piece,
        tokens=held.tokens + piece.tokens,
        logprob_sum=held.logprob_sum + piece.logprob_sum,
        token_ids=held.token_ids + piece.token_ids,
        token_logprobs=held.token_logprobs + piece.token_logprobs,
    )
