"""The time that all nodes of a chain go by, although their clocks differ.

Records expire at a moment, not after a duration, so a node whose clock is slow would find all records valid too long
and one whose clock is fast would find them expired. Each node therefore goes by the fastest clock that it has met: it
only ever moves forward, so that what was announced later still expires later.
"""

from __future__ import annotations

import time
from collections.abc import Callable

TOLERANCE_S = 0.5
"""Within it clocks are equal: a ping's answer tells no more."""
MOST_AHEAD_S = 100 * 365 * 86400.0
"""A machine without a clock starts in 1970; a stranger who names the end of time is not followed there."""


class SwarmClock:
    """This machine's clock, moved forward to the fastest one met."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self.ahead_s = 0.0
        """What was added to this machine's clock."""

    def time(self) -> float:
        """Unix time in s, as the chain has it. Takes the place of hivemind's `get_dht_time`."""
        return self._wall() + self.ahead_s

    def hear(self, theirs: float) -> bool:
        """Another node has just said its time. True where ours was moved forward."""
        ahead = theirs - self.time()
        if not ahead > TOLERANCE_S or self.ahead_s + ahead > MOST_AHEAD_S:
            return False
        self.ahead_s += ahead
        return True
