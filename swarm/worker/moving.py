"""When a node that serves blocks should serve others instead: never all at once, never to and fro. Pure."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

from swarm.domain.nodes import BlockSpan
from swarm.worker.placement import Move, Place, Score, plan_moves, score_of

MISSING_GRACE_S, SINGLE_GRACE_S, SLOW_GRACE_S = 4.0, 12.0, 60.0
"""How long it must have helped to move because blocks are missing, are served by one node only, or are slow. A worker
that was killed is back within some ten seconds, if only its own daemon knows it."""
TURN_S = 8.0
"""After the node that helps most had its turn, the next one; a node that moves says so at once."""
JITTER_S = 1.5
MISSING_REST_S, SINGLE_REST_S, SLOW_REST_S = 5.0, 30.0, 300.0
"""How long a node stays where it moved to, by the same three reasons."""


class MoveWatch:
    """Of one node; told at every look what all have announced."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._jitter_s = JITTER_S * (zlib.crc32(server.encode()) % 1000) / 1000
        self._wanted: BlockSpan | None = None
        self._since = self._moved_at = -math.inf

    def decide(self, layers: int, places: Sequence[Place], now: float) -> BlockSpan | None:
        """The blocks to move to now. `places` hold this node as well; `now` in s, of a clock that never goes back."""
        turn, move = self._turn(plan_moves(layers, places))
        if move is None:
            self._wanted = None
            return None
        if move.span != self._wanted:
            self._wanted, self._since = move.span, now
        grace_s, rest_s = _patience(score_of(layers, places), move.score)
        waited = now - self._since >= grace_s + turn * TURN_S + self._jitter_s
        if not waited or now - self._moved_at < rest_s:
            return None
        self._wanted, self._moved_at = None, now
        return move.span

    def _turn(self, moves: Sequence[Move]) -> tuple[int, Move | None]:
        for turn, move in enumerate(moves):
            if move.server == self._server:
                return turn, move
        return 0, None


def _patience(before: Score, after: Score) -> tuple[float, float]:
    if after.missing < before.missing:
        return MISSING_GRACE_S, MISSING_REST_S
    if after.single < before.single:
        return SINGLE_GRACE_S, SINGLE_REST_S
    return SLOW_GRACE_S, SLOW_REST_S
