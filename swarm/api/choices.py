"""Several answers generated at the same time, read as one sequence of pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from swarm.domain.errors import BackendError
from swarm.domain.generation import GenerationRequest, TextDelta
from swarm.ports.text_source import TextSource

AT_ONCE = 16
"""Choices of one request that are asked for at the same time; the others follow."""
TIDY_S = 5.0
"""What a source may take to end after its last delta, before it is cancelled."""


@dataclass(frozen=True, slots=True)
class Piece:
    index: int
    """Of the choice that it belongs to."""
    delta: TextDelta


class Choices:
    def __init__(self, count: int) -> None:
        self._count = count
        # As small as can be: who reads slowly slows the generation down instead of filling the memory.
        self._queue: asyncio.Queue[Piece | Exception] = asyncio.Queue(maxsize=count)
        self._places = asyncio.Semaphore(AT_ONCE)

    async def pieces(self, silence_s: float | None = None) -> AsyncGenerator[Piece | None, None]:
        """Until every choice is finished; None after each `silence_s` without a piece. Raises what a source raised."""
        unfinished = self._count
        while unfinished:
            try:
                async with asyncio.timeout(silence_s):
                    item = await self._queue.get()
            except TimeoutError:
                yield None
                continue
            if isinstance(item, Exception):
                raise item
            unfinished -= item.delta.finish_reason is not None
            yield item

    async def feed(self, index: int, source: TextSource, request: GenerationRequest) -> None:
        """Never raises: the reader does, so that errors keep their place in the sequence."""
        finished = False
        try:
            async with self._places, aclosing(source.stream(request)) as deltas:
                async for delta in deltas:
                    finished = finished or delta.finish_reason is not None
                    await self._queue.put(Piece(index, delta))
            if not finished:
                raise BackendError("The answer broke off before its end; try again.")
        except Exception as error:
            await self._queue.put(error)


@asynccontextmanager
async def open_choices(source: TextSource, requests: Sequence[GenerationRequest]) -> AsyncIterator[Choices]:
    """Leaving the block closes every source that has not ended."""
    choices = Choices(len(requests))
    feeding = [
        asyncio.create_task(choices.feed(index, source, request), name=f"choice-{request.id}")
        for index, request in enumerate(requests)
    ]
    try:
        yield choices
        await asyncio.wait(feeding, timeout=TIDY_S)
    finally:
        for task in feeding:
            task.cancel()
        await asyncio.gather(*feeding, return_exceptions=True)
