"""Events of the membership as server-sent events, on a real server on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import pytest

from swarm.api.events import MOST_LISTENERS, QUEUE_LIMIT, EventFeed
from swarm.api.server import ApiServer
from swarm.api.settings import ApiSettings
from swarm.app.broadcast import Broadcast
from swarm.domain.errors import ConfigError, Unavailable
from swarm.domain.events import MembershipEvent, PeerChanged, PeerJoined, PeerLeft, PeerSuspected
from swarm.host.clock import SystemClock
from tests.fakes.api_node import NODE, FakeNode, peer

PC = peer("pc", "b" * 32)


@dataclass
class Site:
    """A server, a caller, and the membership that it tells of."""

    server: ApiServer
    session: aiohttp.ClientSession
    membership: Broadcast[MembershipEvent] = field(default_factory=Broadcast)

    async def listen(self) -> aiohttp.ClientResponse:
        response = await self.session.get("/v1/federation/events")
        assert response.status == 200
        return response


@asynccontextmanager
async def site_of(node: FakeNode, **settings: Any) -> AsyncIterator[Site]:
    membership: Broadcast[MembershipEvent] = Broadcast()
    services = replace(node.services(), subscribe=membership.subscribe)
    async with (
        ApiServer(services, ApiSettings(**{"port": 0, **settings}), "127.0.0.1") as server,
        aiohttp.ClientSession(f"http://{server.endpoint}", timeout=aiohttp.ClientTimeout(10)) as session,
    ):
        yield Site(server, session, membership)


async def next_event(response: aiohttp.ClientResponse) -> tuple[str, dict[str, Any]]:
    async with asyncio.timeout(30):
        frame = (await response.content.readuntil(b"\n\n")).decode()
    name, data = frame.strip().split("\n")
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


async def test_a_snapshot_comes_first_and_then_every_event_with_its_row() -> None:
    async with site_of(FakeNode(peers=(PC,))) as site:
        response = await site.listen()
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        name, snapshot = await next_event(response)
        assert name == "snapshot"
        assert snapshot["self"]["node"] == NODE
        assert [row["node"] for row in snapshot["peers"]] == [PC.node]
        suspect = replace(PC, standing="suspect", problem="It does not answer.")
        for event in (PeerJoined(PC), PeerChanged(PC), PeerSuspected(suspect), PeerLeft(PC, "it said goodbye")):
            site.membership.publish(event)
        told = [await next_event(response) for _ in range(4)]
        response.close()
    assert [name for name, _ in told] == ["joined", "changed", "suspect", "left"]
    assert {data["peer"]["endpoint"]["host"] for _, data in told} == {PC.endpoint.host}
    assert [data["reason"] for _, data in told] == ["", "", "It does not answer.", "it said goodbye"]
    assert {(data["node"], data["name"]) for _, data in told} == {(PC.node, "pc")}


async def test_the_last_events_are_part_of_the_table_of_peers() -> None:
    async with site_of(FakeNode()) as site:
        for number in range(40):
            site.membership.publish(PeerJoined(peer(f"pc{number}", f"{number:032}")))
        for _ in range(5):
            site.membership.publish(PeerChanged(PC))
        events = (await (await site.session.get("/v1/federation/peers")).json())["events"]
    assert len(events) == 32
    assert [event["name"] for event in events[-3:]] == ["pc38", "pc39", "pc"]
    assert events[-1].keys() == {"kind", "node", "name", "at", "reason"}
    assert events[-1]["at"] == pytest.approx(SystemClock().wall(), abs=30)


async def test_a_silent_stream_is_kept_alive() -> None:
    async with site_of(FakeNode(), keep_alive_s=0.02) as site:
        response = await site.listen()
        await next_event(response)
        async with asyncio.timeout(30):
            assert await response.content.readuntil(b"\n\n") == b": still here\n\n"
        response.close()


async def test_stopping_ends_the_streams_at_once() -> None:
    async with asyncio.timeout(30), site_of(FakeNode(), drain_s=90.0) as site:
        response = await site.listen()
        await next_event(response)
        await site.server.__aexit__(None, None, None)
        assert await response.content.read() == b": the end\n\n"


async def test_a_listener_too_many_is_refused_until_one_leaves() -> None:
    async with site_of(FakeNode()) as site:
        responses = [await site.listen() for _ in range(MOST_LISTENERS)]
        refused = await site.session.get("/v1/federation/events")
        assert refused.status == 429
        assert "/v1/federation/peers" in (await refused.json())["error"]["message"]
        for response in responses:
            response.close()
        async with asyncio.timeout(30):
            while not await is_let_in(site):
                await asyncio.sleep(0.02)


async def is_let_in(site: Site) -> bool:
    response = await site.session.get("/v1/federation/events")
    response.close()
    return response.status == 200


async def test_a_slow_listener_is_cut_and_the_others_hear_on() -> None:
    feed, cut = EventFeed(SystemClock()), list[str]()
    with feed.listen(lambda: cut.append("slow")) as slow, feed.listen(lambda: cut.append("fast")) as fast:
        for _ in range(QUEUE_LIMIT + 5):
            feed.hear(PeerJoined(PC))
            assert fast.get_nowait() is not None
        assert cut == ["slow"]
        assert slow.qsize() == QUEUE_LIMIT
        feed.close()
        assert fast.get_nowait() is None


async def test_a_reader_that_stalls_loses_its_connection() -> None:
    async with site_of(FakeNode()) as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.server.endpoint.port, limit=2**10)
        writer.write(b"GET /v1/federation/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        big = replace(PC, problem="x" * 2**16)
        async with asyncio.timeout(30):
            for _ in range(40 * QUEUE_LIMIT):
                site.membership.publish(PeerSuspected(big))
                await asyncio.sleep(0)
            received = await read_until_cut(reader)
        writer.close()
        assert received < 40 * QUEUE_LIMIT * 2**16


async def read_until_cut(reader: asyncio.StreamReader) -> int:
    """Bytes."""
    received = 0
    with suppress(ConnectionError):
        while data := await reader.read(2**20):
            received += len(data)
    return received


async def test_nobody_listens_after_the_server_is_closed() -> None:
    async with site_of(FakeNode()) as site:
        membership = site.membership
        assert membership._hearers
    assert not membership._hearers


async def test_the_limit_of_listeners_is_an_error_of_its_own() -> None:
    feed = EventFeed(SystemClock())
    feed._listeners = {asyncio.Queue(): print for _ in range(MOST_LISTENERS)}
    with pytest.raises(Unavailable), feed.listen(print):
        pass


async def test_the_server_can_listen_at_another_address_and_leave_it() -> None:
    async with ApiServer(FakeNode().services(), ApiSettings(port=0), "127.0.0.1") as server:
        port = server.endpoint.port
        assert str(await server.also_listen("127.0.0.2")) == f"127.0.0.2:{port}"
        assert await server.also_listen("127.0.0.2") == await server.also_listen("127.0.0.2")
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.2:{port}/health"
            async with session.get(url, headers={"Connection": "close"}) as response:
                assert response.status == 200
            await server.stop_listening("127.0.0.2")
            await server.stop_listening("127.0.0.2")
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(url)
            async with session.get(f"http://{server.endpoint}/health") as response:
                assert response.status == 200
        with pytest.raises(ConfigError, match="cannot listen"):
            await server.also_listen("203.0.113.1")
