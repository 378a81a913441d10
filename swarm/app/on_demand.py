"""Models that are here and not loaded: a request that names one has it loaded, where that is configured."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Protocol

from swarm.domain.errors import RequestError, Unavailable
from swarm.domain.generation import GenerationRequest, TextDelta
from swarm.domain.nodes import Load, ModelInfo, Progress
from swarm.engine.model_choice import ModelChoice, cached_models, choose_model
from swarm.engine.state import EngineState
from swarm.ports.clock import Clock
from swarm.ports.text_source import TextSource

LOOK_EVERY_S = 0.2
LONGEST_WAIT_S = 120.0
"""For answers of the model that is served; then the request is told to come back."""
DEMO = "demo"


class Switchable(Protocol):
    """What it needs of the engine."""

    @property
    def state(self) -> EngineState: ...

    @property
    def choice(self) -> ModelChoice: ...

    def use(self, choice: ModelChoice) -> None: ...


class OnDemand:
    """A `TextSource` before another one. One model is changed for another at a time, and only while nothing runs."""

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
        self._one = asyncio.Lock()

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[TextDelta, None]:
        """Tells how the loading gets on. Raises `RequestError` where the model cannot be loaded."""
        choice = await self._wanted(request)
        if choice is not None:
            async with aclosing(self._switch(choice)) as news:
                told = ""
                async for words in news:
                    if words != told:
                        told = words
                        yield TextDelta(progress=words)
        async with aclosing(self._inner.stream(request)) as deltas:
            async for delta in deltas:
                yield delta

    async def _wanted(self, request: GenerationRequest) -> ModelChoice | None:
        """None where nothing is to be loaded for it; a request that a peer forwards never has anything loaded."""
        if request.model is None or request.alone or self._is_served(request.model):
            return None
        return await asyncio.to_thread(self._find, request.model)

    async def _switch(self, choice: ModelChoice) -> AsyncGenerator[str, None]:
        async with self._one:
            if self._is_served(choice.id):  # by now: somebody else wanted it, too
                return
            give_up_at = self._clock.now() + LONGEST_WAIT_S
            while self._load().running or self._load().waiting:
                if self._clock.now() >= give_up_at:
                    raise Unavailable(f"Another model is busy here; {choice.id} is loaded once it is not.", busy=True)
                yield f"waiting for answers of another model before {choice.id} is loaded"
                await self._clock.sleep(LOOK_EVERY_S)
            before = self._engine.choice
            self._engine.use(choice)
            while self._engine.state.state in ("starting", "loading"):
                yield _in_words(self._engine.state.progress) or f"loading {choice.id}"
                await self._clock.sleep(LOOK_EVERY_S)
            if self._engine.state.state == "failed":
                problem = self._engine.state.problem
                self._engine.use(before)
                message = f"{choice.id} could not be loaded: {problem}"
                raise RequestError(message, param="model", code="model_not_loadable")


def _in_words(progress: Progress | None) -> str:
    if progress is None or progress.fraction is None:
        return progress.what if progress else ""
    return f"{progress.what}, {progress.fraction:.0%} done"


class Loadable:
    """The models that can be loaded by name: the demo, the configured one, and those that are whole in the cache."""

    def __init__(self, configured: ModelChoice, cache: Path) -> None:
        self._configured, self._cache = configured, cache

    def find(self, name: str) -> ModelChoice | None:
        """Blocks."""
        return next((choice for choice in self._choices() if choice.id == name), None)

    def infos(self) -> Sequence[ModelInfo]:
        """Blocks. As far as can be told without opening them."""
        return [_info(choice) for choice in self._choices()]

    def _choices(self) -> list[ModelChoice]:
        why = "a request named it"
        found = cached_models(self._cache)
        cached = [ModelChoice(str(model.folder), model.name, why, from_cache=True) for model in found]
        demo = choose_model(DEMO, None, self._cache, 0)
        here = [self._configured] if Path(self._configured.path).is_dir() else []
        return [*here, demo, *cached]


def _info(choice: ModelChoice) -> ModelInfo:
    config = Path(choice.path) / "config.json"
    try:
        told: dict[str, Any] = json.loads(config.read_text())
        created = int(config.stat().st_mtime)
    except (OSError, ValueError):
        told, created = {}, 0
    layers, context = told.get("num_hidden_layers"), told.get("max_position_embeddings")
    return ModelInfo(
        choice.id, "", layers if isinstance(layers, int) else 0, context if isinstance(context, int) else 0, created
    )
