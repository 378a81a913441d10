"""What is asked of a peer that is gone ends at once; and how nodes greet and learn, over real sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from swarm.domain.errors import PeerError
from swarm.domain.generation import ChatMessage, GenerationRequest, TextDelta
from swarm.domain.ids import BootId, NodeId, RequestId
from swarm.domain.nodes import Endpoint, NodeStatus, PeerInfo
from swarm.host.clock import SystemClock
from swarm.membership.settings import MembershipSettings
from swarm.membership.shell import Membership
from swarm.peering.client import FederationClient
from swarm.wire.codec import MSGPACK_TYPE, pack, unpack
from swarm.wire.federation_messages import Hello, PeersReply
from tests.fakes.background import running
from tests.fakes.made_up_lan import node_status

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
REQUEST = GenerationRequest(RequestId("r1"), (ChatMessage("user", "hi"),), alone=True)
PIECE = b'data: {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": null}]}\n\n'


@asynccontextmanager
async def server(**handlers: Handler) -> AsyncIterator[Endpoint]:
    app = web.Application()
    for name, handler in handlers.items():
        app.router.add_route("*", f"/v1/{name.replace('__', '/')}", handler)
    async with TestServer(app, host="127.0.0.1", handler_cancellation=True) as started:
        yield Endpoint("127.0.0.1", started.port or 0)


def peer(endpoint: Endpoint, node: str = "bob") -> PeerInfo:
    return PeerInfo(NodeId(node), BootId("boot1"), endpoint, "alive", node_status(node), 0.0)


class Holding:
    """Handlers of requests that never end."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def never(self, request: web.Request) -> web.StreamResponse:
        self.asked.set()
        await asyncio.sleep(30)
        return web.Response()

    async def one_piece(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(PIECE)
        self.asked.set()
        await asyncio.sleep(30)
        return response


@pytest.fixture
async def client() -> AsyncIterator[FederationClient]:
    async with FederationClient(SystemClock()) as client:
        yield client


async def collect(client: FederationClient, peer: PeerInfo) -> list[TextDelta]:
    async with aclosing(client.source(peer).stream(REQUEST)) as stream:
        return [delta async for delta in stream]


@pytest.mark.parametrize("name", ["never", "one_piece"])
async def test_a_stream_of_a_peer_that_is_gone_ends_at_once(client: FederationClient, name: str) -> None:
    holding = Holding()
    async with server(chat__completions=getattr(holding, name)) as endpoint:
        task = asyncio.create_task(collect(client, peer(endpoint)))
        await holding.asked.wait()
        began = time.monotonic()
        client.forget(NodeId("somebody-else"))
        client.forget(NodeId("bob"))
        with pytest.raises(PeerError, match="gone"):
            await task
        assert time.monotonic() - began < 15


async def test_a_reader_that_was_busy_finds_the_stream_ended(client: FederationClient) -> None:
    async with (
        server(chat__completions=Holding().one_piece) as endpoint,
        aclosing(client.source(peer(endpoint)).stream(REQUEST)) as stream,
    ):
        await anext(stream)
        client.forget(NodeId("bob"))
        with pytest.raises(PeerError, match="gone"):
            await anext(stream)


async def test_a_vote_of_a_peer_that_is_gone_ends_at_once_and_the_next_one_is_asked(client: FederationClient) -> None:
    holding = Holding()
    async with server(federation__vote=holding.never) as endpoint:
        for _ in range(2):
            holding.asked.clear()
            task = asyncio.create_task(client.request_vote(peer(endpoint), REQUEST, 20))
            await holding.asked.wait()
            client.forget(NodeId("bob"))
            with pytest.raises(PeerError, match="gone"):
                await task


async def test_a_cancel_is_still_a_cancel(client: FederationClient) -> None:
    holding = Holding()
    async with server(federation__vote=holding.never) as endpoint:
        task = asyncio.create_task(client.request_vote(peer(endpoint), REQUEST, 20))
        await holding.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_member_is_asked_for_the_peers_that_it_knows(client: FederationClient) -> None:
    rows = (peer(Endpoint("10.0.0.7", 17615), "carol"),)

    async def peers(request: web.Request) -> web.Response:
        return web.Response(body=pack(PeersReply(node_status("bob"), rows)), content_type=MSGPACK_TYPE)

    async with server(federation__peers=peers) as endpoint:
        assert await client.peers_of(endpoint, 2) == rows
    with pytest.raises(PeerError):
        await client.peers_of(endpoint, 2)


class LiveNode:
    """A membership that answers probes, greetings and questions for its peers on loopback."""

    def __init__(self, name: str, client: FederationClient) -> None:
        self.status = node_status(name)
        self.endpoint: Endpoint | None = None
        self.membership = Membership(lambda: self.status, client, SystemClock(), MembershipSettings(), self._listening)

    def _listening(self) -> tuple[Endpoint, ...]:
        return (self.endpoint,) if self.endpoint else ()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with (
            server(
                federation__health=self._health, federation__hello=self._hello, federation__peers=self._peers
            ) as self.endpoint,
            running(self.membership.run()),
        ):
            yield

    async def _health(self, request: web.Request) -> web.Response:
        return self._reply(self.status)

    async def _hello(self, request: web.Request) -> web.Response:
        message = unpack(Hello, await request.read())
        endpoint = Endpoint(request.remote or "", message.port)
        self.membership.said_hello(NodeId(message.node), BootId(message.boot), endpoint)
        return web.Response(status=204)

    async def _peers(self, request: web.Request) -> web.Response:
        return self._reply(PeersReply(self.status, self.membership.peers()))

    def _reply(self, message: NodeStatus | PeersReply) -> web.Response:
        return web.Response(body=pack(message), content_type=MSGPACK_TYPE)

    def knows(self) -> set[str]:
        return {row.node for row in self.membership.peers() if row.standing == "alive"}


async def test_one_address_is_enough_for_all(client: FederationClient) -> None:
    ann, bob, carol = (LiveNode(name, client) for name in ("ann", "bob", "carol"))
    async with ann.running(), bob.running(), carol.running():
        assert ann.endpoint is not None
        for node in (bob, carol):
            node.membership.add_static([ann.endpoint])
        async with asyncio.timeout(30):
            while not (ann.knows() == {"bob", "carol"} and len(bob.knows()) == len(carol.knows()) == 2):
                await asyncio.sleep(0.05)
