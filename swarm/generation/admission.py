"""Slots and a bounded queue in front of the model: who may generate now, who waits, who is told to come back."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from swarm.domain.errors import Unavailable
from swarm.domain.nodes import Load
from swarm.ports.clock import Clock

FIRST_ESTIMATE_S = 5.0
"""Of the time one answer takes, before any has finished."""
LATEST_SHARE = 0.3
"""Weight of the newest answer in the moving average."""
SHORTEST_RETRY_S = 1.0


class Admission:
    """First come, first served."""

    def __init__(self, slots: int, queue_limit: int, clock: Clock) -> None:
        self._slots, self._queue_limit, self._clock = slots, queue_limit, clock
        self._running = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self._answer_s = FIRST_ESTIMATE_S

    @property
    def load(self) -> Load:
        return Load(self._running, len(self._queue), self._slots, self._queue_limit)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Holds one slot. Raises `Unavailable` where the queue is full; a cancel while waiting leaves the queue."""
        await self._enter()
        started = self._clock.now()
        try:
            yield
        finally:
            self._answer_s += LATEST_SHARE * (self._clock.now() - started - self._answer_s)
            self._leave()

    async def _enter(self) -> None:
        if self._running < self._slots:
            self._running += 1
            return
        if len(self._queue) >= self._queue_limit:
            raise self._full()
        await self._wait_until_called()

    async def _wait_until_called(self) -> None:
        called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(called)
        try:
            await called
        except asyncio.CancelledError:
            if called.cancelled():
                self._queue.remove(called)
            else:
                # Cancelled in the moment after the slot was handed over.
                self._leave()
            raise

    def _leave(self) -> None:
        """Hands the slot to the first who waits; it stays counted as running, so that nobody slips in between."""
        for called in self._queue:
            if not called.done():
                self._queue.remove(called)
                called.set_result(None)
                return
        self._running -= 1

    def _full(self) -> Unavailable:
        retry_after_s = max(SHORTEST_RETRY_S, self._answer_s * (len(self._queue) + 1) / self._slots)
        return Unavailable(
            f"All {self._slots} slots are in use and {len(self._queue)} requests wait; "
            f"try again in about {retry_after_s:.0f} s.",
            retry_after_s=retry_after_s,
            busy=True,
        )
