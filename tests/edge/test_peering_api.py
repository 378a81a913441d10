"""One node's client against another node's API: both ends of the protocol, over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace

import aiohttp
import pytest

from swarm.api.server import ApiServer
from swarm.api.settings import ApiSettings
from swarm.domain.errors import BackendError, PeerError, RequestError, Unavailable
from swarm.domain.generation import ChatMessage, GenerationRequest, Provenance, Resume, Sampling, TextDelta
from swarm.domain.ids import RequestId
from swarm.domain.nodes import PeerInfo
from swarm.host.clock import SystemClock
from swarm.peering.client import FederationClient
from swarm.wire.proof import make_proof
from tests.fakes.api_node import NODE, READY, VOTE, FakeNode, ScriptedAnswers, peer

SAMPLING = Sampling(temperature=0.5, top_p=0.9, max_tokens=7, stop=("END",), seed=3)
CHAT = GenerationRequest(RequestId("r1"), (ChatMessage("user", "hi"),), SAMPLING, alone=True)
REST = replace(CHAT, resume=Resume((7, 8), "digest"))
TEXT = GenerationRequest(RequestId("r2"), "once upon", alone=True)


@dataclass(frozen=True)
class Pair:
    node: FakeNode
    client: FederationClient
    peer: PeerInfo

    async def collect(self, request: GenerationRequest) -> list[TextDelta]:
        async with aclosing(self.client.source(self.peer).stream(request)) as stream:
            return [delta async for delta in stream]


@asynccontextmanager
async def pair(node: FakeNode, keys: tuple[str, ...] = (), asked_with: tuple[str, ...] = ()) -> AsyncIterator[Pair]:
    async with (
        ApiServer(node.services(), ApiSettings(port=0, keep_alive_s=0.05, keys=keys), "127.0.0.1") as server,
        FederationClient(SystemClock(), asked_with) as client,
    ):
        yield Pair(node, client, peer("attic", NODE, endpoint=server.endpoint))


async def test_a_probe_brings_what_the_node_says_of_itself() -> None:
    async with pair(FakeNode()) as both:
        assert await both.client.probe(both.peer.endpoint, 1.5) == READY


@pytest.mark.parametrize("request_", [CHAT, TEXT, REST])
async def test_an_answer_survives_the_way_through_both_ends(request_: GenerationRequest) -> None:
    async with pair(FakeNode()) as both:
        deltas = await both.collect(request_)
    (asked,) = both.node.answers.asked
    assert (asked.prompt, asked.alone, asked.resume) == (request_.prompt, True, request_.resume)
    assert replace(asked.sampling, max_tokens=None) == replace(request_.sampling, max_tokens=None)
    assert "".join(delta.text for delta in deltas) == "Hello"
    assert [delta.token_ids for delta in deltas] == [(0,), (1,), ()]
    last = deltas[-1]
    assert last.finish_reason == "stop"
    assert last.usage is not None
    assert sum(delta.tokens for delta in deltas) == last.usage.completion_tokens == 2
    assert last.provenance == Provenance("peer", (NODE,), both.node.answers.provenance.model, "d1" * 20)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RequestError("too long", param="messages", code="too_long"), RequestError),
        (Unavailable("loading", retry_after_s=7), Unavailable),
        (Unavailable("queue full", busy=True), Unavailable),
        (BackendError("worker died"), PeerError),
    ],
)
async def test_an_error_keeps_its_kind(error: Exception, kind: type[Exception]) -> None:
    async with pair(FakeNode(ScriptedAnswers(error=error))) as both:
        with pytest.raises(kind) as raised:
            await both.collect(CHAT)
    if isinstance(error, RequestError) and isinstance(raised.value, RequestError):
        assert (raised.value.param, raised.value.code) == (error.param, error.code)
    if isinstance(error, Unavailable) and isinstance(raised.value, Unavailable):
        assert (raised.value.busy, raised.value.retry_after_s) == (error.busy, error.retry_after_s)


async def test_an_error_after_the_first_piece_is_the_peers() -> None:
    async with pair(FakeNode(ScriptedAnswers(error=BackendError("worker died"), error_at=1))) as both:
        with pytest.raises(PeerError, match="worker died"):
            await both.collect(CHAT)


async def test_closing_the_stream_ends_the_generation_there() -> None:
    async with pair(FakeNode(ScriptedAnswers(hold_at=1))) as both:
        async with aclosing(both.client.source(both.peer).stream(CHAT)) as stream:
            assert (await anext(stream)).text == "Hel"
        await asyncio.wait_for(both.node.answers.closed.wait(), 30)


async def test_answers_are_judged_in_their_order() -> None:
    async with pair(FakeNode()) as both:
        scores = await both.client.request_scores(both.peer, CHAT, ("four", "", "5"), 5)
        with pytest.raises(PeerError, match="1 to 16 texts"):
            await both.client.request_scores(both.peer, CHAT, (), 5)
    assert [score and score.mean_logprob for score in scores] == [-4.0, None, -1.0]
    assert both.node.judged == [(CHAT.prompt, ("four", "", "5"))]


async def test_votes_and_goodbyes_arrive() -> None:
    async with pair(FakeNode()) as both:
        (vote,) = await both.client.request_vote(both.peer, CHAT, 5)
        await both.client.goodbye(both.peer.endpoint, replace(READY, node=peer("x", "x" * 16).node))
    assert replace(vote, latency_s=VOTE.latency_s) == VOTE
    assert [asked.prompt for asked in both.node.voted] == [CHAT.prompt]
    assert both.node.goodbyes == ["x" * 16]


async def test_nodes_with_a_key_in_common_answer_for_each_other_and_others_do_not() -> None:
    for keys, accepted in ((("first-key",), True), (("other-key",), False), ((), False)):
        async with pair(FakeNode(), ("one-more-key", "first-key"), keys) as both:
            assert await both.client.probe(both.peer.endpoint, 1.5) == READY
            if accepted:
                assert (await both.collect(CHAT))[-1].finish_reason == "stop"
                assert await both.client.request_vote(both.peer, CHAT, 5.0)
                continue
            with pytest.raises(PeerError, match="API key"):
                await both.collect(CHAT)
            with pytest.raises(PeerError, match="API key"):
                await both.client.request_vote(both.peer, CHAT, 5.0)


async def test_a_proof_is_for_one_body_only() -> None:
    async with pair(FakeNode(), ("first-key",)) as both, aiohttp.ClientSession() as session:
        url = f"http://{both.peer.endpoint}/v1/chat/completions"
        body = b'{"messages": [{"role": "user", "content": "Hi"}]}'
        proof = make_proof("first-key", "POST", "/v1/chat/completions", NODE, body)
        headers = {"X-Swarm-Proof": proof, "Content-Type": "application/json"}
        assert (await session.post(url, data=body, headers=headers)).status == 200
        assert (await session.post(url, data=body.replace(b"Hi", b"Ho"), headers=headers)).status == 401
