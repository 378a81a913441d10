"""An answer put together from its pieces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from swarm.domain.answers import ToolCall
from swarm.domain.generation import TextDelta
from swarm.domain.tools import ToolCallDelta


def calls_of(deltas: Iterable[TextDelta]) -> tuple[ToolCall, ...]:
    """The calls that these pieces spell, in order."""
    pieces: dict[int, list[ToolCallDelta]] = {}
    for delta in deltas:
        for piece in delta.tool_calls:
            pieces.setdefault(piece.index, []).append(piece)
    return tuple(_call(pieces[index]) for index in sorted(pieces))


def _call(pieces: Sequence[ToolCallDelta]) -> ToolCall:
    return ToolCall("".join(piece.name for piece in pieces), "".join(piece.arguments for piece in pieces))
