"""Whom the chain has met, who is still to be met, and who is gone."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from hivemind.p2p import PeerID

from swarm.worker.chain.clock import SwarmClock
from swarm.worker.chain.contacts import FIRST_PAUSE_S, LONGEST_PAUSE_S, Contacts
from swarm.worker.chain.measures import Measures

ID, OWN = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt"
HERE, THERE = (f"/ip4/10.0.0.{host}/tcp/17617/p2p/{ID}" for host in (1, 2))


class Libp2p:
    """Notes what is asked of it; connects where somebody answers, once the gate is open."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.answers = True
        self.gate = asyncio.Event()
        self.gate.set()

    async def connect(self, _server: PeerID, places: list[Any]) -> None:
        self.done.append(f"connect {places[0]}")
        await self.gate.wait()
        if not self.answers:
            raise ConnectionError("nobody there")

    async def disconnect(self, _server: PeerID) -> None:
        self.done.append("disconnect")


class Dht:
    """Answers every ping."""

    node_info, node_id = None, 0

    def __init__(self) -> None:
        self.protocol = self

    def get_stub(self, _server: PeerID) -> Any:
        return SimpleNamespace(rpc_ping=self._ping)

    async def _ping(self, _request: Any, timeout: float) -> Any:
        return SimpleNamespace(dht_time=timeout)

    async def call_ping(self, *_: object, **__: object) -> None:
        pass

    async def find_nearest_nodes(self, _: object) -> None:
        pass


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def libp2p() -> Libp2p:
    return Libp2p()


@pytest.fixture
def measures() -> Measures:
    return Measures()


@pytest.fixture
def contacts(libp2p: Libp2p, measures: Measures, clock: Clock) -> Contacts:
    p2p = SimpleNamespace(peer_id=PeerID.from_base58(OWN), _client=libp2p)
    home: Any = SimpleNamespace(network=SimpleNamespace(p2p=p2p, dht=Dht()))
    return Contacts(home, SwarmClock(), measures, clock)


async def test_who_is_met_is_neither_suspect_nor_to_be_met_again(
    contacts: Contacts, libp2p: Libp2p, measures: Measures
) -> None:
    measures.suspect(ID, is_suspect=True)
    assert await contacts.meet([HERE])
    assert libp2p.done == ["connect /ip4/10.0.0.1/tcp/17617"]
    assert contacts.to_meet() == ()
    assert not measures.is_suspect(ID)


async def test_of_one_that_went_elsewhere_the_old_connection_is_not_used_again(
    contacts: Contacts, libp2p: Libp2p
) -> None:
    await contacts.meet([HERE])
    assert contacts.forget([HERE]) == [ID]
    assert contacts.is_gone(ID)
    assert await contacts.meet([THERE])
    assert not contacts.is_gone(ID)
    assert libp2p.done[1:] == ["disconnect", "connect /ip4/10.0.0.2/tcp/17617"]


async def test_a_connection_that_outlived_a_cut_is_good(contacts: Contacts, libp2p: Libp2p) -> None:
    await contacts.meet([HERE])
    contacts.forget([HERE])
    assert await contacts.meet([HERE])
    assert "disconnect" not in libp2p.done


async def test_who_is_gone_and_does_not_answer_stays_gone_and_is_tried_until_it_is_forgotten(
    contacts: Contacts, libp2p: Libp2p, clock: Clock
) -> None:
    contacts.forget([HERE])
    libp2p.answers = False
    assert not await contacts.meet([HERE])
    assert contacts.is_gone(ID)
    assert libp2p.done[-1] == "disconnect"
    assert contacts.to_meet() == ()  # not at once
    clock.now += FIRST_PAUSE_S
    assert contacts.to_meet() == (HERE,)
    assert not await contacts.meet([HERE])
    clock.now += FIRST_PAUSE_S
    assert contacts.to_meet() == ()  # and ever later
    clock.now += LONGEST_PAUSE_S
    assert contacts.to_meet() == (HERE,)
    contacts.forget([HERE])
    assert contacts.to_meet() == ()


async def test_who_was_never_lost_may_only_be_busy_and_keeps_the_connection_of_its_sessions(
    contacts: Contacts, libp2p: Libp2p
) -> None:
    libp2p.answers = False
    assert not await contacts.meet([HERE])
    assert "disconnect" not in libp2p.done


async def test_who_is_forgotten_while_it_is_met_stays_gone(contacts: Contacts, libp2p: Libp2p) -> None:
    libp2p.gate.clear()
    meeting = asyncio.create_task(contacts.meet([HERE]))
    while not libp2p.done:
        await asyncio.sleep(0)
    assert contacts.to_meet() == ()  # as it is being met
    contacts.forget([HERE])
    libp2p.gate.set()
    assert not await meeting
    assert contacts.is_gone(ID)
    assert contacts.to_meet() == ()


async def test_nonsense_and_this_node_itself_are_nobody_to_meet(contacts: Contacts, libp2p: Libp2p) -> None:
    assert not await contacts.meet(["nonsense", f"/ip4/10.0.0.1/tcp/1/p2p/{OWN}"])
    assert contacts.to_meet() == ()
    assert libp2p.done == []
