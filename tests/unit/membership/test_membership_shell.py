"""The shell around the table: probes go out, events come out, nothing is left behind."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from swarm.domain.events import MembershipEvent, PeerJoined, PeerLeft, PeerSuspected
from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Advert, Endpoint
from swarm.membership.settings import MembershipSettings
from swarm.membership.shell import MOST_PROBES, Membership
from tests.fakes.background import running
from tests.fakes.clock import ManualClock
from tests.fakes.made_up_lan import MadeUpLan, node_status

OWN, BOB = Endpoint("10.0.0.1", 17615), Endpoint("10.0.0.2", 17615)
ADVERT = Advert(NodeId("bob"), BootId("boot1"), (BOB,))


class Swarm:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.link = MadeUpLan(self.clock, {BOB: node_status("bob"), OWN: node_status("self")})
        this = node_status("self")
        self.membership = Membership(lambda: this, self.link, self.clock, MembershipSettings(), lambda: (OWN,))
        self.events: list[MembershipEvent] = []
        self.membership.subscribe(self.events.append)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        try:
            async with running(self.membership.run()):
                yield
        finally:
            assert self.link.open_probes == 0


@pytest.fixture
def swarm() -> Swarm:
    return Swarm()


async def test_an_announced_peer_joins_is_suspected_and_leaves(swarm: Swarm) -> None:
    async with swarm.running():
        swarm.membership.heard_of(ADVERT)
        await swarm.clock.advance(2)
        assert [peer.standing for peer in swarm.membership.peers()] == ["alive"]
        swarm.link.hosts[BOB] = "silent"
        await swarm.clock.advance(10)
    assert [type(event) for event in swarm.events] == [PeerJoined, PeerSuspected, PeerLeft]
    assert swarm.membership.peers() == ()


async def test_a_stopped_peer_that_said_goodbye_leaves_at_once(swarm: Swarm) -> None:
    async with swarm.running():
        swarm.membership.heard_of(ADVERT)
        await swarm.clock.advance(2)
        del swarm.link.hosts[BOB]
        swarm.membership.said_goodbye(NodeId("bob"))
        await swarm.clock.advance(0.3)
        assert [type(event) for event in swarm.events] == [PeerJoined, PeerLeft]


async def test_our_own_address_is_never_probed(swarm: Swarm) -> None:
    async with swarm.running():
        swarm.membership.add_static([OWN, BOB])
        await swarm.clock.advance(5)
    assert set(swarm.link.probed) == {BOB}


async def test_probes_in_flight_are_bounded(swarm: Swarm) -> None:
    silent = [Endpoint("10.0.1.1", 2000 + place) for place in range(3 * MOST_PROBES)]
    swarm.link.hosts.update(dict.fromkeys(silent, "silent"))
    async with swarm.running():
        swarm.membership.add_static(silent)
        await swarm.clock.advance(10)
    assert swarm.link.most_open_probes == MOST_PROBES
    assert set(swarm.link.probed) == set(silent)


async def test_a_cancel_ends_the_probes_under_way(swarm: Swarm) -> None:
    swarm.link.hosts[BOB] = "silent"
    async with swarm.running():
        swarm.membership.heard_of(ADVERT)
        await swarm.clock.advance(0.5)
        assert swarm.link.open_probes == 1


async def test_all_peers_are_told_that_this_node_stops(swarm: Swarm) -> None:
    async with swarm.running():
        swarm.membership.heard_of(ADVERT)
        await swarm.clock.advance(2)
    await swarm.membership.say_goodbye()
    assert swarm.link.goodbyes == [BOB]


async def test_the_log_tells_who_comes_and_goes(swarm: Swarm, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "swarm.membership")
    async with swarm.running():
        swarm.membership.heard_of(ADVERT)
        await swarm.clock.advance(2)
        del swarm.link.hosts[BOB]
        await swarm.clock.advance(5)
    assert [record.message for record in caplog.records] == ["peer joined", "peer is suspect", "peer left"]
    assert caplog.records[0].__dict__["fields"]["endpoint"] == str(BOB)


async def test_the_operator_is_told_once_of_a_configured_peer_that_does_not_answer(
    swarm: Swarm, caplog: pytest.LogCaptureFixture
) -> None:
    del swarm.link.hosts[BOB]
    async with swarm.running():
        swarm.membership.add_static([BOB])
        await swarm.clock.advance(60)
    assert len([record for record in caplog.records if "configured peer" in record.message]) == 1


async def test_the_operator_is_told_once_of_another_protocol(swarm: Swarm, caplog: pytest.LogCaptureFixture) -> None:
    swarm.link.hosts[BOB] = node_status("bob", protocol=7)
    async with swarm.running():
        swarm.membership.heard_of(ADVERT)
        await swarm.clock.advance(60)
    assert len([record for record in caplog.records if "another protocol" in record.message]) == 1
    assert swarm.events == []
