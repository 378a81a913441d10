"""Which model a node takes when nobody chose one, and where it looks for one that it lacks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path

from swarm.app.model_search import JOIN_LOOK_S, ModelSearch
from swarm.domain.ids import NodeId
from swarm.domain.nodes import ModelInfo, PeerInfo, Progress
from swarm.engine.model_choice import ModelChoice, choose_model
from swarm.weights.store import FoundModel
from tests.fakes.api_node import READY, peer
from tests.fakes.clock import ManualClock

STOPGAP = ModelChoice("/on/board", "swarm-demo", "nothing else", is_stopgap=True)
FOUND = FoundModel(Path("/cache/files"), "digest1")


@dataclass
class ScriptedStore:
    found: FoundModel | None = FOUND
    asked: list[tuple[str, bool]] = field(default_factory=list)

    async def find(self, model_id: str, tell: object, *, asks_hub: bool) -> FoundModel | None:
        self.asked.append((model_id, asks_hub))
        return self.found


def serving(name: str, *, chosen: str = "") -> PeerInfo:
    model = ModelInfo(name, "d", 4, 128) if name else None
    return peer(name or chosen, f"{name}{chosen}", status=replace(READY, model=model, chosen=chosen))


@dataclass
class Node:
    root: Path
    peers: tuple[PeerInfo, ...] = ()
    store: ScriptedStore = field(default_factory=ScriptedStore)
    clock: ManualClock = field(default_factory=ManualClock)

    async def settle(self, choice: ModelChoice, *, joins: bool = True) -> ModelChoice:
        search = ModelSearch(self.store, lambda: self.peers, self.root, self.clock, joins=joins)  # type: ignore[arg-type]
        told: list[Progress] = []
        settling = asyncio.create_task(search.settle(choice, told.append))
        await self.clock.advance(JOIN_LOOK_S + 1)
        return await settling


async def test_a_folder_is_taken_without_asking_anybody(tmp_path: Path) -> None:
    node = Node(tmp_path, (serving("other"),))
    asked = ModelChoice("/models/mine", "mine", "as asked")
    assert await node.settle(asked) == asked
    assert node.store.asked == []


async def test_a_name_is_looked_for_among_the_other_nodes_and_left_to_the_hub_where_none_has_it(tmp_path: Path) -> None:
    node, asked = Node(tmp_path), ModelChoice("org/name", "org/name", "as asked")
    settled = await node.settle(asked)
    assert (settled.path, settled.digest, settled.id) == ("/cache/files", "digest1", "org/name")
    assert node.store.asked == [("org/name", True)]
    node.store.found = None
    assert await node.settle(asked) == asked


async def test_where_nobody_chose_a_model_the_one_of_the_swarm_is_joined(tmp_path: Path) -> None:
    node = Node(tmp_path, (serving("a"), serving("b"), serving("", chosen="b"), serving("swarm-demo")))
    settled = await node.settle(STOPGAP)
    assert (settled.id, settled.path, settled.is_stopgap) == ("b", "/cache/files", False)
    assert settled.remembered == "b"
    assert node.store.asked == [("b", False)]


async def test_the_demo_stays_where_the_others_serve_nothing_else_or_cannot_give_it(tmp_path: Path) -> None:
    assert await Node(tmp_path, (serving("swarm-demo"), serving("../evil"))).settle(STOPGAP) == STOPGAP
    assert await Node(tmp_path, (serving("a"),), ScriptedStore(None)).settle(STOPGAP) == STOPGAP
    assert await Node(tmp_path, (serving("a"),)).settle(STOPGAP, joins=False) == STOPGAP
    silent = replace(serving("a"), standing="suspect", node=NodeId("s"))
    assert await Node(tmp_path, (silent,)).settle(STOPGAP) == STOPGAP


async def test_what_was_fetched_in_part_is_looked_for_again_at_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "models--org--name" / "swarm" / "abc").mkdir(parents=True)
    again = await asyncio.to_thread(choose_model, "auto", "org/name", tmp_path, 10**9)
    assert (again.path, again.is_stopgap) == ("org/name", False)
    node = Node(tmp_path)
    assert (await node.settle(again)).digest == "digest1"
    assert node.store.asked == [("org/name", True)]
