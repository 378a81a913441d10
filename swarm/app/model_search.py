"""Where the model comes from: a folder, the hub's cache, other nodes, or the hub, in this order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from swarm.domain.nodes import PeerInfo, Progress, statuses_of_living
from swarm.domain.weights import FileRange
from swarm.engine.model_choice import DEMO_ID, ModelChoice, cached_or_named
from swarm.engine.model_source import Tell
from swarm.ports.clock import Clock
from swarm.weights.offers import MODEL_NAME, choose_model_of_swarm
from swarm.weights.store import WeightsStore

logger = logging.getLogger(__name__)

JOIN_LOOK_S = 2.5
"""How long a node on which nobody chose a model looks what the others serve: about what its worker needs to start."""
LOOK_EVERY_S = 0.1


class ModelSearch:
    """`engine.ModelSource`. `joins`: a node on which nobody chose a model takes the one that the others serve."""

    def __init__(
        self,
        store: WeightsStore,
        peers: Callable[[], tuple[PeerInfo, ...]],
        cache: Path,
        clock: Clock,
        *,
        joins: bool,
    ) -> None:
        self._store, self._peers, self._cache, self._clock = store, peers, cache, clock
        self._joins = joins

    async def settle(self, choice: ModelChoice, tell: Tell) -> ModelChoice:
        if choice.is_stopgap and self._joins:
            # A name that other nodes say is never looked for at the hub.
            return await self._here(await self._joined(choice, tell), tell, asks_hub=False) or choice
        return await self._here(choice, tell, asks_hub=True) or choice

    async def _here(self, choice: ModelChoice, tell: Tell, *, asks_hub: bool) -> ModelChoice | None:
        """With its folder on this machine; None where that has to come from the hub."""
        if Path(choice.path).is_absolute() or not MODEL_NAME.fullmatch(choice.path):
            return choice
        found = await self._store.find(choice.path, tell, asks_hub=asks_hub)
        return replace(choice, path=str(found.folder), digest=found.digest, from_cache=True) if found else None

    async def fill(self, choice: ModelChoice, ranges: Sequence[FileRange], tell: Tell) -> None:
        await self._store.fill(Path(choice.path), ranges, tell)

    async def _joined(self, choice: ModelChoice, tell: Tell) -> ModelChoice:
        """The model that the swarm serves; `choice` where it serves none but the demo."""
        tell(Progress("looking for a model that other nodes serve"))
        deadline = self._clock.now() + JOIN_LOOK_S
        while (name := self._served()) is None:
            if self._clock.now() >= deadline:
                return choice
            await self._clock.sleep(LOOK_EVERY_S)
        logger.info("the model of the other nodes is joined", extra={"fields": {"model": name}})
        why = "most of the other nodes serve it, and none is configured here"
        return await asyncio.to_thread(cached_or_named, name, why, self._cache)

    def _served(self) -> str | None:
        """Nodes that are still loading count: those of a site are often switched on together."""
        alive = statuses_of_living(self._peers())
        names = [status.model.id if status.model else status.chosen for status in alive]
        return choose_model_of_swarm([name for name in names if name != DEMO_ID])
