"""A request that names a model which is here and not loaded has it loaded, where that is configured."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from swarm.domain.errors import RequestError, SwarmError, Unavailable
from swarm.domain.generation import GenerationRequest, TextDelta
from swarm.domain.ids import RequestId
from swarm.domain.nodes import Load, Progress
from swarm.engine.model_choice import ModelChoice
from swarm.engine.state import EngineState
from swarm.ports.clock import Clock
from swarm.ports.text_source import TextSource

LOOK_EVERY_S = 0.2
LONGEST_WAIT_S = 120.0
"""For answers of the model that is served; then the request is told to come back."""


class Switchable(Protocol):
    """What it needs of the engine."""

    @property
    def state(self) -> EngineState: ...

    @property
    def choice(self) -> ModelChoice: ...

    def use(self, choice: ModelChoice) -> None: ...


@dataclass(slots=True)
class Wish:
    """A model, and the requests that need it."""

    choice: ModelChoice
    words: str
    """How it gets on."""
    callers: set[RequestId] = field(default_factory=set)
    """Those that have no part of their answer yet."""
    is_over: bool = False
    failure: SwarmError | None = None


class OnDemand:
    """A `TextSource` before another one. `run` changes one model for another at a time, and only while nothing runs.

    What it began it ends, whoever leaves meanwhile: who asks again finds the model loaded, or the old one back."""

    def __init__(
        self,
        inner: TextSource,
        engine: Switchable,
        find: Callable[[str], ModelChoice | None],
        is_served: Callable[[str], bool],
        load: Callable[[], Load],
        clock: Clock,
    ) -> None:
        """`find` looks on the disk; `is_served`: here or by another node."""
        self._inner, self._engine, self._find = inner, engine, find
        self._is_served, self._load, self._clock = is_served, load, clock
        self._queue = asyncio.Queue[Wish]()
        self._open: dict[str, Wish] = {}
        """By model: those that are not over."""
        self._callers: set[RequestId] = set()
        """Of the last wish: its model stays until each has a part of its answer, or is gone."""

    # -- requests -----------------------------------------------------------------------------------------------------

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[TextDelta, None]:
        """Tells how the loading gets on. Raises `RequestError` or `Unavailable` where the model cannot be loaded."""
        choice = await self._wanted(request)
        callers = set[RequestId]()
        try:
            if choice is not None:
                wish = self._wish_for(choice)
                callers = wish.callers
                callers.add(request.id)
                async with aclosing(self._news(wish)) as news:
                    async for words in news:
                        yield TextDelta(progress=words)
            async with aclosing(self._inner.stream(request)) as deltas:
                async for delta in deltas:
                    callers.discard(request.id)
                    yield delta
        finally:
            callers.discard(request.id)

    async def _wanted(self, request: GenerationRequest) -> ModelChoice | None:
        """None where nothing is to be loaded for it; a request that a peer forwards never has anything loaded."""
        if request.model is None or request.alone or self._is_served(request.model):
            return None
        return await asyncio.to_thread(self._find, request.model)

    def _wish_for(self, choice: ModelChoice) -> Wish:
        wish = self._open.get(choice.id)
        if wish is None:
            wish = self._open[choice.id] = Wish(choice, f"{choice.id} is loaded next")
            self._queue.put_nowait(wish)
        return wish

    async def _news(self, wish: Wish) -> AsyncGenerator[str, None]:
        """Until it is over. Raises why it failed."""
        told = ""
        while not wish.is_over:
            if wish.words != told:
                told = wish.words
                yield told
            await self._clock.sleep(LOOK_EVERY_S)
        if wish.failure:
            raise wish.failure

    # -- models -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Never returns."""
        while True:
            wish = await self._queue.get()
            try:
                await self._fulfil(wish)
            except SwarmError as error:
                wish.failure = error
            wish.is_over, self._callers = True, wish.callers
            del self._open[wish.choice.id]

    async def _fulfil(self, wish: Wish) -> None:
        name, give_up_at = wish.choice.id, self._clock.now() + LONGEST_WAIT_S
        while wish.callers and not self._is_served(name):
            load = self._load()
            if not (load.running or load.waiting or self._callers):
                return await self._change_to(wish)
            if self._clock.now() >= give_up_at:
                raise Unavailable(f"Another model is busy here; {name} is loaded once it is not.", busy=True)
            wish.words = f"waiting for answers of another model before {name} is loaded"
            await self._clock.sleep(LOOK_EVERY_S)
        return None

    async def _change_to(self, wish: Wish) -> None:
        name, before = wish.choice.id, self._engine.choice
        self._engine.use(wish.choice)
        # One that has a problem is started again and again; here the model from before is better than that.
        while (state := self._engine.state).state in ("starting", "loading") and state.problem is None:
            wish.words = _in_words(state.progress) or f"loading {name}"
            await self._clock.sleep(LOOK_EVERY_S)
        if state.problem is not None and state.state in ("starting", "loading", "failed"):
            self._engine.use(before)
            message = f"{name} could not be loaded: {state.problem}"
            if state.state == "failed":
                raise RequestError(message, param="model", code="model_not_loadable")
            raise Unavailable(message)


def _in_words(progress: Progress | None) -> str:
    if progress is None or progress.fraction is None:
        return progress.what if progress else ""
    return f"{progress.what}, {progress.fraction:.0%} done"
