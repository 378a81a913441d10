"""Nodes that choose blocks at the same moment leave none out, also where they hear of each other late."""

import asyncio
import itertools
from dataclasses import replace

import pytest

from swarm.domain.nodes import BlockSpan
from swarm.worker.chain import claiming
from swarm.worker.chain.node import Seen
from swarm.worker.placement import Place

LAYERS = 6


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fiftieth of the real times."""
    for name in ("LOOK_EVERY_S", "SETTLED_S", "LONGEST_S", "CONFIRM_S"):
        monkeypatch.setattr(claiming, name, getattr(claiming, name) / 50)


class Site:
    """Who promised what; a promise is seen by others after `lag_s`."""

    def __init__(self, lag_s: float = 0.0) -> None:
        self.lag_s = lag_s
        self.said: dict[str, Seen] = {}

    async def hear(self, seen: Seen) -> None:
        await asyncio.sleep(self.lag_s)
        self.said[seen.place.server] = seen


class Node:
    layers = LAYERS

    def __init__(self, site: Site, server_id: str, capacity: int) -> None:
        self.server_id, self._site, self._capacity = server_id, site, capacity
        self._view: list[Seen] = []
        self._telling: set[asyncio.Task[None]] = set()

    async def refresh(self) -> None:
        self._view = [seen for server, seen in self._site.said.items() if server != self.server_id]

    def others(self) -> list[Seen]:
        return self._view

    async def promise(self, span: BlockSpan, *, firm: bool) -> None:
        seen = Seen(Place(self.server_id, span, self._capacity), is_serving=False, is_firm=firm)
        self._telling.add(asyncio.create_task(self._site.hear(seen)))


async def claimed(site: Site, capacities: list[int], pauses_s: list[float]) -> list[BlockSpan]:
    async def one(name: str, capacity: int, pause_s: float) -> BlockSpan:
        await asyncio.sleep(pause_s)
        return await claiming.claim(Node(site, name, capacity), capacity)  # type: ignore[arg-type]

    return await asyncio.gather(*map(one, "abcdef", capacities, pauses_s))


def times_served(spans: list[BlockSpan]) -> list[int]:
    return [sum(span.start <= index < span.end for span in spans) for index in range(LAYERS)]


@pytest.mark.parametrize("capacities", [[3, 3], [2, 2, 2], [3, 3, 3, 3], [4, 2], [1, 2, 3]])
async def test_all_blocks_are_taken_as_often_as_they_can_be(capacities: list[int]) -> None:
    spans = await claimed(Site(), capacities, list(itertools.repeat(0.0, len(capacities))))
    assert [len(span) for span in spans] == capacities
    assert min(times_served(spans)) >= sum(capacities) // LAYERS


async def test_who_comes_a_little_later_takes_the_rest() -> None:
    spans = await claimed(Site(lag_s=0.005), [3, 3], [0.0, 0.03])
    assert times_served(spans) == [1] * LAYERS


async def test_two_that_heard_of_each_other_only_after_their_promise_do_not_both_keep_it() -> None:
    spans = await claimed(Site(lag_s=claiming.SETTLED_S + 0.5 * claiming.CONFIRM_S), [3, 3], [0.0, 0.0])
    assert times_served(spans) == [1] * LAYERS


async def test_blocks_that_are_served_already_are_left_to_those_who_serve_them() -> None:
    site = Site()
    serving = Seen(Place("z", BlockSpan(0, 3), 3), is_serving=True, is_firm=True)
    site.said["z"] = serving
    assert await claimed(site, [3], [0.0]) == [BlockSpan(3, 6)]
    site.said = {"z": replace(serving, place=replace(serving.place, span=BlockSpan(3, 6)))}
    assert await claimed(site, [3], [0.0]) == [BlockSpan(0, 3)]
