"""FederationClient against real servers on loopback: good ones, bad ones, and none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from swarm.domain.errors import PeerError
from swarm.domain.federation import PeerVote
from swarm.domain.generation import ChatMessage, GenerationRequest, Sampling
from swarm.domain.ids import BootId, NodeId, RequestId
from swarm.domain.nodes import Endpoint, PeerInfo
from swarm.host.clock import SystemClock
from swarm.peering.client import HEALTH_LIMIT_BYTES, FederationClient
from swarm.ports.peer_link import PeerRefused
from swarm.wire.codec import MSGPACK_TYPE, pack, to_plain, unpack
from swarm.wire.federation_messages import Goodbye, VoteReply, VoteRequest
from tests.fakes.made_up_lan import node_status

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
BOB = node_status("bob")
REQUEST = GenerationRequest(RequestId("r1"), (ChatMessage("user", "hi"),), Sampling(seed=7))
VOTE = PeerVote(NodeId("mallory"), "four", "stop", 3, 0.5, "tiny", "d1", 0.0)


@pytest.fixture
async def client() -> AsyncIterator[FederationClient]:
    async with FederationClient(SystemClock()) as client:
        yield client


@asynccontextmanager
async def node(path: str, handler: Handler) -> AsyncIterator[Endpoint]:
    app = web.Application()
    app.router.add_route("*", path, handler)
    async with TestServer(app, host="127.0.0.1") as server:
        yield Endpoint("127.0.0.1", server.port or 0)


@asynccontextmanager
async def raw_node(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[Endpoint]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Endpoint("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()


def peer(endpoint: Endpoint) -> PeerInfo:
    return PeerInfo(NodeId("bob"), BootId("boot1"), endpoint, "alive", BOB, 0.0)


def replies(body: bytes, content_type: str = MSGPACK_TYPE, status: int = 200) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=body, content_type=content_type, status=status)

    return handler


async def test_a_probe_brings_the_status_over_one_warm_connection(client: FederationClient) -> None:
    seen = []

    async def health(request: web.Request) -> web.Response:
        seen.append((request.headers["Accept"], request.transport))
        return web.Response(body=pack(BOB), content_type=MSGPACK_TYPE)

    async with node("/v1/federation/health", health) as endpoint:
        assert await client.probe(endpoint, 1.5) == BOB
        assert await client.probe(endpoint, 1.5) == BOB
    assert {accept for accept, _ in seen} == {MSGPACK_TYPE}
    assert len({transport for _, transport in seen}) == 1


async def test_a_status_in_json_is_understood_too(client: FederationClient) -> None:
    body = b'{"node":"bob","boot":"boot1","name":"bob-machine","version":"0.1.0","protocol":1,"state":"ready",'
    body += b'"hardware":"cpu","instances":1,"load":{},"from_the_future":1}'
    async with node("/v1/federation/health", replies(body, "application/json")) as endpoint:
        assert await client.probe(endpoint, 1.5) == BOB


async def test_nobody_there_is_a_refusal(client: FederationClient) -> None:
    async with raw_node(lambda reader, writer: asyncio.sleep(0)) as endpoint:
        pass
    with pytest.raises(PeerRefused, match="daemon"):
        await client.probe(endpoint, 1.5)


async def test_a_silent_peer_takes_no_longer_than_the_limit(client: FederationClient) -> None:
    async with raw_node(lambda reader, writer: asyncio.sleep(10)) as endpoint:
        began = time.monotonic()
        with pytest.raises(PeerError, match="in time") as raised:
            await client.probe(endpoint, 0.2)
        assert time.monotonic() - began < 8
        assert not isinstance(raised.value, PeerRefused)


async def test_a_reply_that_trickles_takes_no_longer_than_the_limit(client: FederationClient) -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        for _ in range(20):
            writer.write(b"x")
            await asyncio.sleep(0.05)

    async with raw_node(trickle) as endpoint:
        with pytest.raises(PeerError, match="in time"):
            await client.probe(endpoint, 0.3)


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x16\x03\x01\x02\x00",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/msgpack\r\nContent-Length: 1\r\n\r\n\xc1",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
        b"",
    ],
)
async def test_nonsense_is_the_peers_error(client: FederationClient, said: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()

    async with raw_node(talk) as endpoint:
        with pytest.raises(PeerError) as raised:
            await client.probe(endpoint, 1.5)
    assert not isinstance(raised.value, PeerRefused)


async def test_a_status_is_no_larger_than_an_honest_one(client: FederationClient) -> None:
    large = pack({**to_plain(BOB), "more": [1] * HEALTH_LIMIT_BYTES})
    async with node("/v1/federation/health", replies(large)) as endpoint:
        with pytest.raises(PeerError, match="more than"):
            await client.probe(endpoint, 5)


async def test_a_reply_without_end_is_given_up(client: FederationClient) -> None:
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            sent += 65536
            await writer.drain()

    async with raw_node(flood) as endpoint:
        with pytest.raises(PeerError, match="more than"):
            await client.probe(endpoint, 5)
        await asyncio.sleep(0.05)
    assert sent < 32 * 2**20


@pytest.mark.parametrize("host", ["bad..name", "a" * 300, "nobody.invalid"])
async def test_a_host_that_cannot_be_found_is_the_peers_error(client: FederationClient, host: str) -> None:
    with pytest.raises(PeerError):
        await client.probe(Endpoint(host, 17615), 1.0)


async def test_votes_carry_the_peers_id_and_our_own_time(client: FederationClient) -> None:
    asked = []

    async def vote(request: web.Request) -> web.Response:
        asked.append(unpack(VoteRequest, await request.read()))
        await asyncio.sleep(0.05)
        return web.Response(body=pack(VoteReply((VOTE, VOTE))), content_type=MSGPACK_TYPE)

    async with node("/v1/federation/vote", vote) as endpoint:
        votes = await client.request_vote(peer(endpoint), REQUEST, 5)
    assert asked == [VoteRequest("r1", REQUEST.prompt, REQUEST.sampling, None)]
    assert [(vote.node, vote.text, vote.mean_logprob) for vote in votes] == [("bob", "four", 0.0)] * 2
    assert all(vote.latency_s >= 0.05 for vote in votes)


@pytest.mark.parametrize(
    ("body", "status"), [(pack(VoteReply(())), 200), (b'{"error":{"message":"queue full"}}', 429), (b"\x80", 200)]
)
async def test_a_vote_that_is_none_is_the_peers_error(client: FederationClient, body: bytes, status: int) -> None:
    async with node("/v1/federation/vote", replies(body, status=status)) as endpoint:
        with pytest.raises(PeerError):
            await client.request_vote(peer(endpoint), REQUEST, 5)


async def test_a_cancelled_vote_closes_the_connection(client: FederationClient) -> None:
    asked, closed = asyncio.Event(), asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        while await reader.read(4096):
            pass
        closed.set()

    async with raw_node(talk) as endpoint:
        voting = asyncio.create_task(client.request_vote(peer(endpoint), REQUEST, 5))
        await asked.wait()
        voting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await voting
        await asyncio.wait_for(closed.wait(), 30)


async def test_goodbye_says_who_leaves_and_never_raises(client: FederationClient) -> None:
    heard = []

    async def goodbye(request: web.Request) -> web.Response:
        heard.append(unpack(Goodbye, await request.read()))
        return web.Response(status=204)

    async with node("/v1/federation/goodbye", goodbye) as endpoint:
        await client.goodbye(endpoint, BOB)
    await client.goodbye(endpoint, BOB)
    assert heard == [Goodbye("bob", "boot1")]
