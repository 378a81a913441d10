"""Slots and a bounded, fair queue in front of the model: who may generate now, who waits, who is told to come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from swarm.domain.errors import Unavailable
from swarm.domain.nodes import Load
from swarm.generation.fair_queue import FairQueue
from swarm.ports.clock import Clock

FIRST_ESTIMATE_S = 5.0
"""Of the time one answer takes, before any has finished."""
LATEST_SHARE = 0.3
"""Weight of the newest answer in the moving average."""
SHORTEST_RETRY_S = 1.0

Tell = Callable[[str], None]
"""How the waiting gets on, in words for people."""


class _Waiting:
    """Somebody in the queue."""

    def __init__(self, client: str, tell: Tell) -> None:
        self.client, self.tell = client, tell
        self.called: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Admission:
    """Clients take turns; the requests of one client are first come, first served."""

    def __init__(self, slots: int, queue_limit: int, clock: Clock) -> None:
        self._slots, self._queue_limit, self._clock = slots, queue_limit, clock
        self._running = 0
        self._queue = FairQueue[_Waiting]()
        self._answer_s = FIRST_ESTIMATE_S

    @property
    def load(self) -> Load:
        return Load(self._running, len(self._queue), self._slots, self._queue_limit)

    @asynccontextmanager
    async def slot(self, client: str = "", tell: Tell = lambda _: None) -> AsyncIterator[None]:
        """Holds one slot. Raises `Unavailable` where the queue is full, or where it became so and this client has more
        than its part of it; a cancel while waiting leaves the queue. `tell` hears of each change of the position."""
        await self._enter(client, tell)
        started = self._clock.now()
        try:
            yield
        finally:
            self._answer_s += LATEST_SHARE * (self._clock.now() - started - self._answer_s)
            self._leave()

    async def _enter(self, client: str, tell: Tell) -> None:
        if self._running < self._slots:
            self._running += 1
            return
        if len(self._queue) >= self._queue_limit and not self._make_room(client):
            raise self._full()
        await self._wait_until_called(_Waiting(client, tell))

    async def _wait_until_called(self, waiting: _Waiting) -> None:
        self._queue.add(waiting.client, waiting)
        self._tell_positions()
        try:
            await waiting.called
        except asyncio.CancelledError:
            if waiting.called.cancelled():
                self._queue.discard(waiting.client, waiting)
                self._tell_positions()
            elif waiting.called.exception() is None:
                # Cancelled in the moment after the slot was handed over.
                self._leave()
            raise

    def _leave(self) -> None:
        """Hands the slot to whose turn it is; it stays counted as running, so that nobody slips in between."""
        while (waiting := self._queue.next()) is not None:
            if not waiting.called.done():  # else cancelled in this very turn
                waiting.called.set_result(None)
                self._tell_positions()
                return
        self._running -= 1

    def _make_room(self, client: str) -> bool:
        """Whether another client, with more in the queue, gave up a place."""
        given_up = self._queue.give_up_for(client)
        if given_up is not None and not given_up.called.done():
            given_up.called.set_exception(self._full())
        return given_up is not None

    def _tell_positions(self) -> None:
        for position, waiting in enumerate(self._queue.in_order(), 1):
            seconds = self._answer_s * position / self._slots
            waiting.tell(f"number {position} of {len(self._queue)} in the queue, about {seconds:.0f} s")

    def _full(self) -> Unavailable:
        waiting = len(self._queue)
        retry_after_s = max(SHORTEST_RETRY_S, self._answer_s * (waiting + 1) / self._slots)
        busy = f"All {self._slots} slots are in use and {waiting} requests wait"
        return Unavailable(
            f"{busy}; try again in about {retry_after_s:.0f} s.",
            retry_after_s=retry_after_s,
            busy=True,
            position=waiting + 1,
        )
