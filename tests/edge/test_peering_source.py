"""PeerSource against a streaming server on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from multidict import CIMultiDict

from swarm.domain.errors import PeerError, RequestError, Unavailable
from swarm.domain.generation import ChatMessage, GenerationRequest, TextDelta
from swarm.domain.ids import BootId, NodeId, RequestId
from swarm.domain.nodes import Endpoint, PeerInfo
from swarm.peering import peer_source
from swarm.peering.client import FederationClient
from swarm.ports.text_source import TextSource
from tests.fakes.clock import ManualClock
from tests.fakes.made_up_lan import node_status

CHAT = GenerationRequest(RequestId("r1"), (ChatMessage("user", "hi"),), alone=True)
TEXT = GenerationRequest(RequestId("r2"), "once upon")
SWARM = {"route": "local", "nodes": ["bob"], "model": "tiny", "model_digest": "d1"}


def piece(text: str) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]})


def event(data: Any) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


ENDING = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "swarm": SWARM})
USAGE = event({"choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 2}})
DONE = b"data: [DONE]\n\n"


class Node:
    """Sends `script`; a number in it is a pause, and None breaks the connection off."""

    def __init__(self) -> None:
        self.script: list[bytes | float | None] = [piece("Hel"), b": ping\n\n", piece("lo"), ENDING, USAGE, DONE]
        self.refusal: web.Response | None = None
        self.seen: list[tuple[str, CIMultiDict[str], dict[str, Any]]] = []
        self.left = asyncio.Event()
        self.clock = ManualClock()
        self.peer: PeerInfo

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.path, request.headers.copy(), await request.json()))
        if self.refusal is not None:
            return self.refusal
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            await self._play(request, response)
        except (ConnectionError, asyncio.CancelledError):
            self.left.set()
            raise
        return response

    async def _play(self, request: web.Request, response: web.StreamResponse) -> None:
        for step in self.script:
            if step is None:
                assert request.transport is not None
                request.transport.abort()
            elif isinstance(step, bytes):
                await response.write(step)
            else:
                await asyncio.sleep(step)


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
async def source(node: Node) -> AsyncIterator[TextSource]:
    app = web.Application()
    app.router.add_post("/{path:.*}", node.answer)
    async with (
        TestServer(app, host="127.0.0.1", handler_cancellation=True) as server,
        FederationClient(node.clock) as client,
    ):
        endpoint = Endpoint("127.0.0.1", server.port or 0)
        yield client.source(PeerInfo(NodeId("bob"), BootId("b"), endpoint, "alive", node_status("bob"), 0.0))


async def collect(source: TextSource, request: GenerationRequest = CHAT) -> list[TextDelta]:
    async with aclosing(source.stream(request)) as stream:
        return [delta async for delta in stream]


async def test_an_answer_comes_in_pieces_and_ends_with_its_provenance(source: TextSource, node: Node) -> None:
    deltas = await collect(source)
    assert "".join(delta.text for delta in deltas) == "Hello"
    assert deltas[-1].finish_reason == "stop"
    assert deltas[-1].provenance is not None
    assert (deltas[-1].provenance.route, deltas[-1].provenance.nodes) == ("peer", ("bob",))
    (path, headers, body) = node.seen[0]
    assert path == "/v1/chat/completions"
    assert (headers["X-Swarm-Alone"], headers["X-Request-Id"]) == ("1", "r1")
    assert body["stream"] is True


async def test_raw_text_goes_to_the_other_endpoint(source: TextSource, node: Node) -> None:
    await collect(source, TEXT)
    assert (node.seen[0][0], node.seen[0][2]["prompt"]) == ("/v1/completions", "once upon")


@pytest.mark.parametrize(
    ("status", "kind"), [(400, RequestError), (404, RequestError), (429, Unavailable), (503, Unavailable)]
)
async def test_a_refusal_comes_before_the_first_piece(
    source: TextSource, node: Node, status: int, kind: type[Exception]
) -> None:
    node.refusal = web.json_response({"error": {"message": "no"}}, status=status, headers={"Retry-After": "9"})
    with pytest.raises(kind) as raised:
        await collect(source)
    assert not isinstance(raised.value, Unavailable) or raised.value.retry_after_s == 9


async def test_a_page_instead_of_a_stream_is_the_peers_error(source: TextSource, node: Node) -> None:
    node.refusal = web.Response(text="<html>", content_type="text/html")
    with pytest.raises(PeerError, match="not a stream"):
        await collect(source)


@pytest.mark.parametrize(
    "script",
    [
        [piece("a"), None],
        [piece("a")],
        [piece("a"), ENDING],
        [piece("a"), DONE],
        [piece("a"), event({"error": {"message": "out of memory"}}), DONE],
        [b"data: {\n\n"],
        [b"x" * 2**21],
    ],
)
async def test_a_broken_stream_is_the_peers_error(
    source: TextSource, node: Node, script: list[bytes | float | None]
) -> None:
    node.script = script
    with pytest.raises(PeerError):
        await collect(source)


async def test_silence_is_not_waited_out(source: TextSource, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_source, "SILENCE_LIMIT_S", 0.2)
    node.script = [piece("a"), 2.0]
    with pytest.raises(PeerError, match="in time"):
        await collect(source)


async def test_comments_alone_do_not_keep_a_request_for_ever(source: TextSource, node: Node) -> None:
    node.script = [piece("a"), *[b": waiting\n\n", 0.01] * 200]
    async with aclosing(source.stream(CHAT)) as stream:
        await anext(stream)
        await node.clock.advance(peer_source.PROGRESS_LIMIT_S + 1)
        with pytest.raises(PeerError, match="nothing but comments"):
            await anext(stream)


async def test_closing_the_stream_stops_the_peer(source: TextSource, node: Node) -> None:
    node.script = [piece("a"), *[0.02, piece("b")] * 500]
    async with aclosing(source.stream(CHAT)) as stream:
        assert (await anext(stream)).text == "a"
    await asyncio.wait_for(node.left.wait(), 30)
