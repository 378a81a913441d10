"""What is heard of other servers, as routes and the planner see it; and who gives up waiting for one."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from petals.data_structures import ServerState

from swarm.domain.nodes import BlockSpan
from swarm.worker.chain.measures import Measures
from swarm.worker.chain.others import FORMAT_LIMIT, NAME_LIMIT, Others
from swarm.worker.chain.records import Announcement
from swarm.worker.chain.waiting import Waiting

ME, A, B, C = "me", "a", "b", "c"


def said(start: int, end: int, state: ServerState = ServerState.ONLINE, **more: Any) -> Announcement:
    return Announcement(state, 1.0, start_block=start, end_block=end, inference_rps=50.0, **more)


@pytest.fixture
def gone() -> set[str]:
    return set()


@pytest.fixture
def measures() -> Measures:
    return Measures()


@pytest.fixture
def others(gone: set[str], measures: Measures) -> Others:
    contacts: Any = SimpleNamespace(is_gone=gone.__contains__)
    return Others(ME, 6, contacts, measures)


def test_routes_see_who_serves_and_the_planner_also_who_loads(others: Others, gone: set[str]) -> None:
    others.hear(
        {
            ME: said(0, 3),
            A: said(0, 3),
            B: said(3, 6, ServerState.JOINING, firm=False),
            C: said(3, 6, ServerState.OFFLINE),
        }
    )
    assert [(offer.server, offer.span, offer.block_s) for offer in others.offers()] == [(A, BlockSpan(0, 3), 0.02)]
    assert [(seen.place.server, seen.is_serving, seen.is_firm) for seen in others.seen()] == [
        (A, True, True),
        (B, False, False),
    ]
    gone.add(A)
    assert others.offers() == []
    assert [seen.place.server for seen in others.seen()] == [B]


def test_a_link_is_what_all_measured_to_a_server_and_so_is_the_own(others: Others) -> None:
    others.hear(
        {
            ME: said(0, 3, next_pings={A: 0.01, B: 0.02}),
            A: said(0, 3, next_pings={ME: 0.03, B: 0.04}),
            B: said(3, 6, next_pings={ME: 0.05, A: 0.5}),
        }
    )
    assert {seen.place.server: seen.place.link_s for seen in others.seen()} == {A: 0.01, B: 0.02}
    assert others.link_s(ME) == 0.03
    assert others.link_s("nobody measured") == 0.0


def test_claims_of_any_length_are_cut(others: Others) -> None:
    others.hear({A: said(0, 3, public_name="n" * 1000, torch_dtype="f" * 1000)})
    (offer,) = others.offers()
    assert (len(offer.node), len(offer.number_format)) == (NAME_LIMIT, FORMAT_LIMIT)


def test_measures_of_those_who_serve_nothing_more_are_dropped(others: Others, measures: Measures) -> None:
    others.hear({A: said(0, 3), B: said(3, 6)})
    for server in (A, B):
        measures.pinged(server, 0.01)
    others.hear({A: said(0, 3)})
    assert measures.trips() == {A: 0.01}


async def test_who_waits_for_a_server_gives_up_and_the_others_wait_on() -> None:
    waiting = Waiting()
    ended: list[str] = []

    async def wait(server: str) -> None:
        try:
            with waiting.on(server):
                await asyncio.Event().wait()
        finally:
            ended.append(server)

    tasks = [asyncio.create_task(wait(server)) for server in (A, A, B)]
    await asyncio.sleep(0)
    waiting.give_up(A)
    await asyncio.wait(tasks[:2])
    assert ended == [A, A]
    waiting.give_up(A)  # nobody any more
    waiting.give_up(B)
    await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)
