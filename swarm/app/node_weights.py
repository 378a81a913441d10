"""The parts by which weights come to this node and leave it, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from swarm.app.model_search import ModelSearch
from swarm.config.settings import Settings
from swarm.domain.ids import NodeId
from swarm.domain.nodes import PeerInfo
from swarm.engine.engine import Engine
from swarm.engine.state import EngineState
from swarm.host.files import write_atomically
from swarm.host.folders import DataFolder
from swarm.peering.weights import WeightsClient
from swarm.ports.clock import Clock
from swarm.weights.fetching import Surroundings
from swarm.weights.hashes import HashMemory
from swarm.weights.rate import RateLimit
from swarm.weights.shelf import Shelf
from swarm.weights.sources import Excluded
from swarm.weights.store import WeightsStore

HASHES = "weight-hashes"
"""Folder of what was computed of this machine's own weight files."""


@dataclass(frozen=True, slots=True)
class NodeWeights:
    link: WeightsClient
    shelf: Shelf
    store: WeightsStore
    search: ModelSearch

    async def run(self) -> None:
        """Never returns."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.shelf.run(), name="shelf of weights")
            tasks.create_task(self.store.run(), name="fetched weights")

    def follow(self, engine: Engine, state: EngineState) -> None:
        """Hands on what the worker has loaded; a folder that is being filled is on the shelf already."""
        if state.model is not None and state.folder:
            self.store.found()
            if not engine.choice.digest:
                self.shelf.put(state.model, Path(state.folder))


def build_weights(
    settings: Settings,
    node: NodeId,
    cache: Path,
    folder: DataFolder,
    peers: Callable[[], tuple[PeerInfo, ...]],
    blame: Callable[[NodeId], None],
    clock: Clock,
) -> NodeWeights:
    """`blame` is told who sends false weights."""
    ours = settings.weights
    bytes_per_s = ours.rate_limit_mbit * 1e6 / 8
    link, memory = WeightsClient(), HashMemory(folder.path / HASHES, write_atomically)
    shelf = Shelf(memory, RateLimit(bytes_per_s, clock))
    around = Surroundings(link, peers, clock, RateLimit(bytes_per_s, clock), Excluded(blame), ours.patience_s, node)
    store = WeightsStore(ours, cache, around, shelf, memory, write_atomically)
    return NodeWeights(link, shelf, store, ModelSearch(store, peers, cache, clock, joins=ours.fetch))
