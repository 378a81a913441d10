"""/v1/federation/*: what nodes ask of each other, and what the status page reads."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from aiohttp import web

from swarm.api.bodies import FEDERATION_LIMIT_BYTES, read_body
from swarm.api.events import EventFeed
from swarm.api.json_replies import wire_reply
from swarm.api.middleware import CLIENT, OWN_ID
from swarm.api.recent_requests import RecentRequests
from swarm.api.services import ApiServices
from swarm.api.shapes.base import half_character
from swarm.domain.errors import RequestError
from swarm.domain.generation import GenerationRequest, Prompt, Provenance, Sampling
from swarm.domain.ids import BootId, NodeId, RequestId
from swarm.domain.nodes import Endpoint
from swarm.domain.sampling_limits import refuse_bad_sampling
from swarm.wire.codec import JSON_TYPE, MSGPACK_TYPE, PROTOCOL_VERSION, MalformedMessage, decode, to_plain
from swarm.wire.federation_messages import (
    Goodbye,
    Hello,
    PeersReply,
    ScoreReply,
    ScoreRequest,
    VoteReply,
    VoteRequest,
)

T = TypeVar("T")
LONGEST_ID = 128
MOST_TEXTS = 16
"""In one request to score; a vote has fewer candidates."""


class FederationRoutes:
    def __init__(self, services: ApiServices, recent: RecentRequests, feed: EventFeed) -> None:
        self._services, self._recent, self._feed = services, recent, feed

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/federation/vote", self._vote),
            web.post("/v1/federation/score", self._score),
            web.get("/v1/federation/decisions", self._decisions),
            web.post("/v1/federation/hello", self._hello),
            web.post("/v1/federation/goodbye", self._goodbye),
            web.get("/v1/federation/health", self._health),
            web.get("/v1/federation/peers", self._peers),
            web.get("/v1/federation/requests", self._requests),
        ]

    async def _vote(self, request: web.Request) -> web.Response:
        asked = generation_request(await read_message(request, VoteRequest), request[OWN_ID])
        asked = replace(asked, client=request[CLIENT])
        with self._recent.watch("vote", asked.id, asked.model, None) as watch:
            votes = await self._services.votes(asked)
            watch.tokens = sum(vote.tokens for vote in votes)
            model, digest = (votes[0].model, votes[0].model_digest) if votes else ("", "")
            watch.provenance = Provenance("local", tuple({vote.node: None for vote in votes}), model, digest)
        return wire_reply(request, VoteReply(votes))

    async def _score(self, request: web.Request) -> web.Response:
        asked = await read_message(request, ScoreRequest)
        if not 0 < len(asked.texts) <= MOST_TEXTS:
            raise RequestError(f"`texts` must hold 1 to {MOST_TEXTS} texts.", param="texts")
        # The same checks as for an answer to that prompt.
        prompt = generation_request(
            VoteRequest(asked.id, asked.prompt, Sampling(), asked.model, asked.protocol), request[OWN_ID]
        ).prompt
        return wire_reply(request, ScoreReply(await self._services.scores(prompt, asked.texts)))

    async def _decisions(self, request: web.Request) -> web.Response:
        return wire_reply(request, {"decisions": [to_plain(record) for record in self._services.decisions()]})

    async def _hello(self, request: web.Request) -> web.Response:
        """Whoever greets can only make this node look at the address that the greeting comes from."""
        message = await read_message(request, Hello)
        if request.remote is not None:
            endpoint = Endpoint(request.remote, message.port)
            self._services.hear_hello(NodeId(message.node), BootId(message.boot), endpoint)
        return web.Response(status=204)

    async def _goodbye(self, request: web.Request) -> web.Response:
        message = await read_message(request, Goodbye)
        if not 0 < len(message.node) <= LONGEST_ID:
            raise RequestError("`node` is not the id of a node.", param="node")
        self._services.hear_goodbye(NodeId(message.node))
        return web.Response(status=204)

    async def _health(self, request: web.Request) -> web.Response:
        """What a probe reads; 200 in every state, as a node that loads is alive."""
        return wire_reply(request, self._services.status())

    async def _peers(self, request: web.Request) -> web.Response:
        return wire_reply(request, PeersReply(self._services.status(), self._services.peers(), self._feed.recent()))

    async def _requests(self, request: web.Request) -> web.Response:
        return wire_reply(request, {"requests": [to_plain(record) for record in self._recent.newest_first()]})


async def read_message(request: web.Request, kind: type[T]) -> T:
    """Raises `RequestError`. The content type must be said: browsers send other types without asking first."""
    if request.content_type not in (MSGPACK_TYPE, JSON_TYPE):
        raise RequestError(f"Send {MSGPACK_TYPE} or {JSON_TYPE}, and say so in Content-Type.", status=415)
    body = await read_body(request, FEDERATION_LIMIT_BYTES)
    try:
        return decode(kind, body, request.content_type)
    except MalformedMessage as error:
        raise RequestError(f"The message was not understood: {error}.", code="malformed_message") from None


def generation_request(asked: VoteRequest, id: str) -> GenerationRequest:
    """Held to the same limits as a request over the API; under an id of our own, as the asker may repeat its own."""
    if asked.protocol != PROTOCOL_VERSION:
        message = f"This node speaks protocol {PROTOCOL_VERSION}, not {asked.protocol}; run the same version on both."
        raise RequestError(message, param="protocol", code="protocol_mismatch")
    if half_character([*_texts(asked.prompt), asked.model]):
        raise RequestError("`prompt` holds half a character (a lone UTF-16 surrogate).", param="prompt")
    refuse_bad_sampling(asked.sampling)
    return GenerationRequest(
        id=RequestId(id),
        prompt=asked.prompt,
        sampling=asked.sampling,
        model=asked.model or None,
        alone=True,
        response_format=asked.response_format,
        tools=asked.tools,
        tool_choice=asked.tool_choice,
        parallel_tool_calls=asked.parallel_tool_calls,
        template=asked.template,
    )


def _texts(prompt: Prompt) -> tuple[str, ...]:
    if not prompt:
        raise RequestError("`prompt` must hold at least one message.", param="prompt")
    if isinstance(prompt, tuple):
        return tuple(message.content for message in prompt)
    return (prompt,) if isinstance(prompt, str) else ()
