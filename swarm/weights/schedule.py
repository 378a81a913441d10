"""Which piece is asked of which source next. Pure: time is a parameter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from swarm.domain.ids import NodeId

OVERTAKE_S = 3.0
"""A piece that is on its way for this long is asked of a second source by one that has nothing else to do."""


@dataclass(frozen=True, slots=True)
class Piece:
    file: str
    """Its digest."""
    index: int


Holds = Callable[[Piece], bool]


@dataclass(slots=True)
class Schedule:
    """`needed` in the order in which they are asked for, from `first` on and round: nodes that begin at different
    places have something to give each other soon."""

    needed: Sequence[Piece]
    first: int = 0
    _pending: dict[Piece, None] = field(init=False)
    _on_the_way: dict[Piece, dict[NodeId, float]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        turn = self.first % len(self.needed) if self.needed else 0
        self._pending = dict.fromkeys([*self.needed[turn:], *self.needed[:turn]])

    @property
    def is_done(self) -> bool:
        return not self._pending and not self._on_the_way

    def take(self, source: NodeId, holds: Holds, now: float) -> Piece | None:
        """None where this source can do nothing now."""
        piece = next(filter(holds, self._pending), None)
        if piece is not None:
            del self._pending[piece]
        else:
            piece = next((late for late in self._on_the_way if self._is_late(late, source, now) and holds(late)), None)
        if piece is not None:
            self._on_the_way.setdefault(piece, {})[source] = now
        return piece

    def _is_late(self, piece: Piece, source: NodeId, now: float) -> bool:
        takers = self._on_the_way[piece]
        return source not in takers and len(takers) == 1 and now - min(takers.values()) > OVERTAKE_S

    def done(self, piece: Piece) -> bool:
        """False where another source was faster."""
        self._pending.pop(piece, None)
        return self._on_the_way.pop(piece, None) is not None

    def give_back(self, piece: Piece, source: NodeId) -> None:
        """It did not come from there; the next one takes it at once."""
        takers = self._on_the_way.get(piece, {})
        if takers.pop(source, None) is not None and not takers:
            del self._on_the_way[piece]
            self._pending = {piece: None, **self._pending}
