"""Another node as a `TextSource`, over its OpenAI-style streaming API."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator

import aiohttp

from swarm.domain.errors import PeerError
from swarm.domain.generation import GenerationRequest, TextDelta
from swarm.domain.nodes import PeerInfo
from swarm.peering.answer import AnswerReader
from swarm.peering.calls import Call, Calls
from swarm.peering.http import CONNECT_TIMEOUT_S, as_peer_errors, failure_of, read_reply, url_of
from swarm.peering.prover import Prover
from swarm.peering.request_body import request_body
from swarm.peering.sse import SseParser
from swarm.ports.clock import Clock
from swarm.wire.codec import JSON_TYPE

CHAT_PATH = "/v1/chat/completions"
TEXT_PATH = "/v1/completions"
EVENT_STREAM_TYPE = "text/event-stream"

SILENCE_LIMIT_S = 15.0
"""A living peer sends at least a comment each 5 s; without a limit a cut cable is never noticed."""
PROGRESS_LIMIT_S = 600.0
"""Comments alone keep a request no longer than this."""
ANSWER_LIMIT_BYTES = 64 * 2**20


class PeerSource:
    def __init__(
        self, session: aiohttp.ClientSession, clock: Clock, peer: PeerInfo, calls: Calls, prover: Prover
    ) -> None:
        self._session, self._clock, self._peer, self._calls, self._prover = session, clock, peer, calls, prover

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[TextDelta, None]:
        """Closing it closes the connection, which stops the peer's generation."""
        with as_peer_errors(self._peer.endpoint), self._calls.to(self._peer) as call:
            async with call.waiting():
                response = await self._ask(request)
            async with response:
                async with call.waiting():
                    await self._refuse_failure(response)
                resumed = len(request.resume.tokens) if request.resume else None
                parser, answer, budget = (
                    SseParser(),
                    AnswerReader(self._peer, resumed),
                    _Budget(self._clock, self._peer),
                )
                while data := await _read(response, call):
                    for event in parser.feed(data):
                        budget.progress()
                        if (delta := answer.read(event)) is not None:
                            yield delta
                    if answer.is_done:
                        return
                    budget.spend(len(data))
        raise PeerError(f"{self._peer.endpoint} broke its answer off.")

    async def _ask(self, request: GenerationRequest) -> aiohttp.ClientResponse:
        path = CHAT_PATH if isinstance(request.prompt, tuple) else TEXT_PATH
        body = json.dumps(request_body(request)).encode()
        headers = {
            "X-Swarm-Alone": "1",
            "X-Request-Id": request.id,
            "Accept": EVENT_STREAM_TYPE,
            "Content-Type": JSON_TYPE,
        }
        return await self._session.post(
            url_of(self._peer.endpoint, path),
            data=body,
            headers=headers | self._prover.headers(self._peer.node, "POST", path, body),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=SILENCE_LIMIT_S),
            allow_redirects=False,
        )

    async def _refuse_failure(self, response: aiohttp.ClientResponse) -> None:
        if response.status != 200:
            raise failure_of(await read_reply(response), self._peer.endpoint)
        if response.content_type != EVENT_STREAM_TYPE:
            raise PeerError(f"{self._peer.endpoint} answered {response.content_type}, not a stream of events.")


async def _read(response: aiohttp.ClientResponse, call: Call) -> bytes:
    """What has come, at least a byte; nothing at the end."""
    async with call.waiting():
        return await response.content.readany()


class _Budget:
    """What one answer may take: bytes in all, and time without an event."""

    def __init__(self, clock: Clock, peer: PeerInfo) -> None:
        self._clock, self._peer = clock, peer
        self._bytes = 0
        self._progress_at = clock.now()

    def progress(self) -> None:
        self._progress_at = self._clock.now()

    def spend(self, count: int) -> None:
        self._bytes += count
        if self._bytes > ANSWER_LIMIT_BYTES:
            raise PeerError(f"{self._peer.endpoint} sent more than {ANSWER_LIMIT_BYTES} bytes for one answer.")
        if self._clock.now() - self._progress_at > PROGRESS_LIMIT_S:
            raise PeerError(f"{self._peer.endpoint} sent nothing but comments for {PROGRESS_LIMIT_S:g} s.")
