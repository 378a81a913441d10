"""How this node asks another one: its health, its votes, its answers."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import aiohttp

from swarm.domain.answers import ToolCall
from swarm.domain.errors import PeerError
from swarm.domain.federation import PeerVote
from swarm.domain.generation import GenerationRequest, TextScore
from swarm.domain.ids import NodeId
from swarm.domain.nodes import Endpoint, NodeStatus, PeerInfo
from swarm.membership.strangers import SENTENCE_LIMIT, clean_text, sound_text
from swarm.peering.calls import Calls
from swarm.peering.http import (
    CONNECT_TIMEOUT_S,
    REPLY_LIMIT_BYTES,
    Reply,
    as_peer_errors,
    failure_of,
    read_reply,
    url_of,
)
from swarm.peering.logprobs import checked_logprobs
from swarm.peering.peer_source import PeerSource
from swarm.peering.prover import Prover
from swarm.ports.clock import Clock
from swarm.ports.text_source import TextSource
from swarm.wire.codec import MSGPACK_TYPE, decode, pack
from swarm.wire.federation_messages import (
    Goodbye,
    Hello,
    PeersReply,
    ScoreReply,
    ScoreRequest,
    VoteReply,
    VoteRequest,
)

HEALTH_PATH = "/v1/federation/health"
VOTE_PATH = "/v1/federation/vote"
SCORE_PATH = "/v1/federation/score"
PEERS_PATH = "/v1/federation/peers"
HELLO_PATH = "/v1/federation/hello"
GOODBYE_PATH = "/v1/federation/goodbye"

MOST_CONNECTIONS = 1024
"""To all peers. More than the callers' own limits add up to, so that a probe never waits behind streams."""
KEEP_ALIVE_S = 15.0
"""Of an idle connection: far above the probes' second, so that they need no handshake, and well below the 30 s after
which a node's server closes it, so that no request meets a closing connection."""
HEALTH_LIMIT_BYTES = 2**16
"""Some 5 KB at most of an honest node, news included. Each second a peer's is decoded on the event loop."""
GOODBYE_TIMEOUT_S = 1.0
HELLO_TIMEOUT_S = 1.5
PEERS_LIMIT_BYTES = 4 * 2**20
"""A row takes about 1 KB, and a swarm has 1,024 of them."""
TOLD_VOTE_LIMIT_BYTES = 16 * 2**20
"""Of a vote with the log-probabilities of its tokens."""
MOST_VOTES = 16
"""Of one peer; the rest is ignored."""


class FederationClient:
    """`ports.PeerLink` over HTTP. An async context manager: leaving it closes every connection."""

    def __init__(self, clock: Clock, keys: tuple[str, ...] = ()) -> None:
        """`keys`: of the API, as they are configured here; the first of them is proved to the nodes asked."""
        self._clock, self._prover = clock, Prover(keys[0] if keys else "")
        self._calls = Calls()
        self._opened: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._opened = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MOST_CONNECTIONS, keepalive_timeout=KEEP_ALIVE_S),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity"},
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    async def probe(self, endpoint: Endpoint, timeout_s: float) -> NodeStatus:
        """Raises `PeerRefused` where nobody listens, `PeerError` for silence and nonsense."""
        reply = await self._exchange("GET", endpoint, HEALTH_PATH, timeout_s, limit_bytes=HEALTH_LIMIT_BYTES)
        return decode(NodeStatus, _accepted(reply, endpoint).body, reply.content_type)

    async def request_vote(self, peer: PeerInfo, request: GenerationRequest, timeout_s: float) -> tuple[PeerVote, ...]:
        """A cancel closes the connection, which stops the peer's generation. Who voted, and how long it took, is
        what we know, not what the peer says."""
        message = VoteRequest(
            request.id,
            request.prompt,
            request.sampling,
            request.model,
            response_format=request.response_format,
            tools=request.tools,
            tool_choice=request.tool_choice,
            parallel_tool_calls=request.parallel_tool_calls,
            template=request.template,
        )
        asked_at = self._clock.now()
        with self._calls.to(peer) as call:
            async with call.waiting():
                limit = REPLY_LIMIT_BYTES if request.sampling.logprobs is None else TOLD_VOTE_LIMIT_BYTES
                reply = await self._exchange("POST", peer.endpoint, VOTE_PATH, timeout_s, message, limit, peer.node)
        latency_s = self._clock.now() - asked_at
        votes = decode(VoteReply, _accepted(reply, peer.endpoint).body, reply.content_type).votes[:MOST_VOTES]
        if not votes:
            raise PeerError(f"{peer.endpoint} answered without a vote.")
        return tuple(_checked(vote, peer, latency_s) for vote in votes)

    async def request_scores(
        self, peer: PeerInfo, request: GenerationRequest, texts: tuple[str, ...], timeout_s: float
    ) -> tuple[TextScore | None, ...]:
        message = ScoreRequest(request.id, request.prompt, texts, request.model)
        with self._calls.to(peer) as call:
            async with call.waiting():
                reply = await self._exchange("POST", peer.endpoint, SCORE_PATH, timeout_s, message, node=peer.node)
        scores = decode(ScoreReply, _accepted(reply, peer.endpoint).body, reply.content_type).scores
        if len(scores) != len(texts):
            raise PeerError(f"{peer.endpoint} scored {len(scores)} of {len(texts)} texts.")
        return tuple(score and replace(score, mean_logprob=min(0.0, score.mean_logprob)) for score in scores)

    async def peers_of(self, endpoint: Endpoint, timeout_s: float) -> tuple[PeerInfo, ...]:
        reply = await self._exchange("GET", endpoint, PEERS_PATH, timeout_s, limit_bytes=PEERS_LIMIT_BYTES)
        return decode(PeersReply, _accepted(reply, endpoint).body, reply.content_type).peers

    async def hello(self, endpoint: Endpoint, status: NodeStatus, port: int) -> None:
        """A node that does not know the word answers 404, and that is all right."""
        with suppress(PeerError):
            message = Hello(status.node, status.boot, port)
            await self._exchange("POST", endpoint, HELLO_PATH, HELLO_TIMEOUT_S, message)

    async def goodbye(self, endpoint: Endpoint, status: NodeStatus) -> None:
        with suppress(PeerError):
            message = Goodbye(status.node, status.boot)
            await self._exchange("POST", endpoint, GOODBYE_PATH, GOODBYE_TIMEOUT_S, message)

    def source(self, peer: PeerInfo) -> TextSource:
        return PeerSource(self._session, self._clock, peer, self._calls, self._prover)

    def forget(self, node: NodeId) -> None:
        """It is gone: what is asked of it ends now, with `PeerError`."""
        self._calls.abort(node)

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            raise RuntimeError("FederationClient is used outside its `async with`")
        return self._opened

    async def _exchange(
        self,
        method: str,
        endpoint: Endpoint,
        path: str,
        timeout_s: float,
        message: Any = None,
        limit_bytes: int = REPLY_LIMIT_BYTES,
        node: NodeId | None = None,
    ) -> Reply:
        with as_peer_errors(endpoint):
            body = None if message is None else pack(message)
            headers = {"Accept": MSGPACK_TYPE} | ({} if body is None else {"Content-Type": MSGPACK_TYPE})
            headers |= self._prover.headers(node, method, path, body or b"")
            url = url_of(endpoint, path)
            async with (
                asyncio.timeout(timeout_s),
                self._session.request(method, url, data=body, headers=headers, allow_redirects=False) as response,
            ):
                return await read_reply(response, limit_bytes)


def _accepted(reply: Reply, endpoint: Endpoint) -> Reply:
    if reply.status == 200:
        return reply
    raise PeerError(f"{endpoint}: {failure_of(reply, endpoint)}")


def _checked(vote: PeerVote, peer: PeerInfo, latency_s: float) -> PeerVote:
    return replace(
        vote,
        node=peer.node,
        text=sound_text(vote.text),
        latency_s=latency_s,
        tokens=max(0, vote.tokens),
        prompt_tokens=max(0, vote.prompt_tokens),
        mean_logprob=None if vote.mean_logprob is None else min(0.0, vote.mean_logprob),
        model=clean_text(vote.model, SENTENCE_LIMIT),
        model_digest=clean_text(vote.model_digest, SENTENCE_LIMIT),
        error=None if vote.error is None else clean_text(vote.error, SENTENCE_LIMIT),
        tool_calls=tuple(ToolCall(sound_text(call.name), sound_text(call.arguments)) for call in vote.tool_calls),
        token_logprobs=checked_logprobs(vote.token_logprobs, vote.text),
        reasoning=sound_text(vote.reasoning),
    )
