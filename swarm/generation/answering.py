"""The use case of answering on this node: admission before, counting during, the port's contract kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

from swarm.domain.errors import BackendError
from swarm.domain.generation import GenerationRequest, TextDelta
from swarm.generation.admission import Admission
from swarm.ports.clock import Clock
from swarm.ports.text_source import TextSource

LATEST_SHARE = 0.3
"""Weight of the newest answer in the moving average of the speed."""


@dataclass(frozen=True, slots=True)
class AnswerCounts:
    """Since the start."""

    requests: int = 0
    """Answers that reached their end."""
    tokens: int = 0
    tokens_per_s: float | None = None
    """Of one stream, from its first piece to its last; None before the first answer of two pieces."""


class AnsweringNode:
    """A `TextSource` around the engine's."""

    def __init__(self, engine: TextSource, admission: Admission, clock: Clock) -> None:
        self._engine, self._admission, self._clock = engine, admission, clock
        self._requests = self._tokens = 0
        self._tokens_per_s: float | None = None

    @property
    def counts(self) -> AnswerCounts:
        return AnswerCounts(self._requests, self._tokens, self._tokens_per_s)

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[TextDelta, None]:
        """While the request waits for a slot it gives deltas that only say how that gets on."""
        async with AsyncExitStack() as stack:
            async with aclosing(self._entering(stack, request.client)) as news:
                async for words in news:
                    yield TextDelta(progress=words)
            answer, deltas = _Answer(), await stack.enter_async_context(aclosing(self._engine.stream(request)))
            async for delta in deltas:
                answer.take(delta, self._clock.now())
                self._count(delta, answer)
                yield delta
            answer.end()

    async def _entering(self, stack: AsyncExitStack, client: str) -> AsyncGenerator[str, None]:
        """How the waiting for a slot gets on; at the end the stack holds it."""
        news: asyncio.Queue[str | None] = asyncio.Queue()

        async def enter() -> None:
            try:
                await stack.enter_async_context(self._admission.slot(client, news.put_nowait))
            finally:
                news.put_nowait(None)

        entering = asyncio.create_task(enter(), name="wait for a slot")
        try:
            while (words := await news.get()) is not None:
                yield words
            await entering
        finally:
            entering.cancel()
            await asyncio.gather(entering, return_exceptions=True)

    def _count(self, delta: TextDelta, answer: _Answer) -> None:
        self._tokens += delta.tokens
        if not answer.finished:
            return
        self._requests += 1
        speed, known = answer.tokens_per_s, self._tokens_per_s
        if speed is not None:
            self._tokens_per_s = speed if known is None else known + LATEST_SHARE * (speed - known)


class _Answer:
    """One stream on its way: held against the port's contract, and timed."""

    def __init__(self) -> None:
        self.finished = False
        self._first_at: float | None = None
        self._last_at = 0.0
        self._tokens_after_first = 0

    def take(self, delta: TextDelta, now: float) -> None:
        if self.finished:
            raise BackendError("The engine went on after the end of an answer; this is a bug in the engine.")
        self.finished = delta.finish_reason is not None
        if self.finished and (delta.usage is None or delta.provenance is None):
            raise BackendError("The engine ended an answer without usage or provenance; this is a bug in the engine.")
        if not delta.tokens:
            return
        if self._first_at is None:
            self._first_at = now
        else:
            self._tokens_after_first += delta.tokens
        self._last_at = now

    def end(self) -> None:
        if not self.finished:
            raise BackendError("The engine stopped in the middle of an answer; try again.")

    @property
    def tokens_per_s(self) -> float | None:
        """Without the time before the first piece, which is waiting and reading the prompt."""
        seconds = self._last_at - (self._first_at or 0.0)
        return self._tokens_after_first / seconds if self._tokens_after_first and seconds > 0 else None
