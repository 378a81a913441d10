"""Time that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import heapq
import itertools

SETTLING_ROUNDS = 50
"""Turns of the loop in which everything that can run without time passing has run."""


class ManualClock:
    """A `Clock`. Sleepers wake in order when `advance` passes their time."""

    def __init__(self, now: float = 1000.0) -> None:
        self._now = now
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._now

    def wall(self) -> float:
        return 1_700_000_000.0 + self._now

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + max(seconds, 0.0), next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Moves on in steps from sleeper to sleeper, so that what they start is seen too."""
        until = self._now + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            due, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                self._now = max(self._now, due)
                woken.set_result(None)
                await settle()
        self._now = until

    @property
    def sleepers(self) -> int:
        """Those who still wait."""
        return sum(not woken.done() for _, _, woken in self._sleepers)


async def settle() -> None:
    """Lets every task run as far as it can."""
    for _ in range(SETTLING_ROUNDS):
        await asyncio.sleep(0)
