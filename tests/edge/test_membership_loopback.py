"""Discovery, probes and the table together: one node watches others come, restart and go on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from swarm.discovery.static_peers import static_endpoints
from swarm.domain.events import MembershipEvent, PeerJoined, PeerLeft
from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Advert, Endpoint, NodeStatus
from swarm.host.clock import SystemClock
from swarm.membership.settings import MembershipSettings
from swarm.membership.shell import Membership
from swarm.peering.client import FederationClient
from swarm.wire.codec import MSGPACK_TYPE, pack
from tests.fakes.background import running
from tests.fakes.made_up_lan import node_status

SOON_S = 30.0


class Watch:
    """A membership with real probes, and its events."""

    def __init__(self, membership: Membership) -> None:
        self.membership = membership
        self.events: list[MembershipEvent] = []
        membership.subscribe(self.events.append)

    async def until(self, fact: Callable[[list[MembershipEvent]], bool]) -> None:
        async with asyncio.timeout(SOON_S):
            while not fact(self.events):
                await asyncio.sleep(0.02)


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    this, clock = node_status("self"), SystemClock()
    async with FederationClient(clock) as client:
        membership = Membership(lambda: this, client, clock, MembershipSettings())
        async with running(membership.run()):
            yield Watch(membership)


@asynccontextmanager
async def node(status: NodeStatus, port: int = 0) -> AsyncIterator[Endpoint]:
    async def health(_request: web.Request) -> web.Response:
        return web.Response(body=pack(status), content_type=MSGPACK_TYPE)

    app = web.Application()
    app.router.add_get("/v1/federation/health", health)
    async with TestServer(app, host="127.0.0.1", port=port or None) as server:
        yield Endpoint("127.0.0.1", server.port or 0)


def advert(status: NodeStatus, endpoint: Endpoint) -> Advert:
    return Advert(status.node, status.boot, (endpoint,))


def has(kind: type[PeerJoined] | type[PeerLeft], node: str, boot: str) -> Callable[[list[MembershipEvent]], bool]:
    return lambda events: any(
        isinstance(event, kind) and (event.peer.node, event.peer.boot) == (node, boot) for event in events
    )


async def test_a_peer_joins_at_once_and_is_gone_two_seconds_after_it_stops(watch: Watch) -> None:
    bob = node_status("bob")
    async with node(bob) as endpoint:
        watch.membership.heard_of(advert(bob, endpoint))
        await watch.until(has(PeerJoined, "bob", "boot1"))
        (row,) = watch.membership.peers()
        assert row.standing == "alive"
        assert row.round_trip_s is not None
    await watch.until(has(PeerLeft, "bob", "boot1"))
    assert watch.membership.peers() == ()


async def test_a_goodbye_of_a_stopped_peer_is_believed_at_once(watch: Watch) -> None:
    bob = node_status("bob")
    async with node(bob) as endpoint:
        watch.membership.add_static(static_endpoints([str(endpoint)]))
        await watch.until(has(PeerJoined, "bob", "boot1"))
    watch.membership.said_goodbye(NodeId("bob"))
    await watch.until(has(PeerLeft, "bob", "boot1"))
    (left,) = [event for event in watch.events if isinstance(event, PeerLeft)]
    assert "goodbye" in left.reason


async def test_a_restarted_peer_takes_its_old_place(watch: Watch) -> None:
    async with node(node_status("bob")) as endpoint:
        watch.membership.add_static([endpoint])
        await watch.until(has(PeerJoined, "bob", "boot1"))
    async with node(node_status("bob", BootId("boot2")), endpoint.port):
        await watch.until(has(PeerJoined, "bob", "boot2"))
        assert [row.boot for row in watch.membership.peers()] == ["boot2"]
