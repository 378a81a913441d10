"""POST /v1/responses: the newer endpoint, which some coding agents speak only."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Iterator, Mapping
from types import MappingProxyType

from aiohttp import web

from swarm.api.bodies import read_json_object
from swarm.api.choices import Choices, open_choices
from swarm.api.errors import error_body
from swarm.api.json_replies import json_reply
from swarm.api.middleware import CLIENT, OWN_ID
from swarm.api.models import known_models
from swarm.api.openai_requests import Defaults
from swarm.api.openai_routes import ALONE_HEADER
from swarm.api.recent_requests import RecentRequests, RequestWatch
from swarm.api.responses_replies import Event, ResponseBuilder
from swarm.api.responses_requests import ResponseAsk, parse_response
from swarm.api.services import ApiServices
from swarm.api.settings import ApiSettings
from swarm.api.sse import EventStream, ReaderGone
from swarm.api.streaming import failures_told, spoken_pieces
from swarm.domain.errors import RequestError

OWN_NAMES: Mapping[str, str] = MappingProxyType({"messages": "input", "response_format": "text.format"})
"""Of parameters that the other endpoints call otherwise."""


class ResponsesRoutes:
    def __init__(self, services: ApiServices, settings: ApiSettings, recent: RecentRequests) -> None:
        self._services, self._settings, self._recent = services, settings, recent

    def routes(self) -> list[web.RouteDef]:
        return [web.post(prefix + "/responses", self._respond) for prefix in ("/v1", "")]

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        body = await read_json_object(request, self._settings.body_limit_bytes)
        alone = request.headers.get(ALONE_HEADER) == "1"
        id = request[OWN_ID]
        ask = parse_response(body, Defaults(id, self._services.strategy, alone, request[CLIENT]))
        builder = ResponseBuilder(ask, id, int(self._services.clock.wall()), self._model(ask))
        try:
            with self._recent.watch("response", id, ask.request.model, ask.request.strategy) as watch, _own_names():
                async with open_choices(self._services.answers, (ask.request,)) as choices:
                    if ask.stream:
                        return await self._stream(EventStream(request), builder, choices, watch)
                    return await self._whole(builder, choices, watch)
        except ReaderGone as gone:
            return gone.response

    def _model(self, ask: ResponseAsk) -> str:
        models = known_models(self._services.status(), self._services.peers())
        return ask.request.model or next((model.id for model in models), "")

    async def _whole(self, builder: ResponseBuilder, choices: Choices, watch: RequestWatch) -> web.Response:
        async for piece in choices.pieces():
            if piece is not None and piece.delta.progress is None:
                watch.saw(piece.delta)
                for _ in builder.add(piece.delta):
                    pass
        return json_reply(builder.body())

    async def _stream(
        self, events: EventStream, builder: ResponseBuilder, choices: Choices, watch: RequestWatch
    ) -> web.StreamResponse:
        def tell(error: Exception) -> Awaitable[None]:
            return _send(events, builder.failed(error_body(error)["error"]))

        has_begun, keep_alive_s = False, self._settings.keep_alive_s
        async with failures_told(events, watch, tell):
            async for piece in spoken_pieces(choices, events, watch, self._services.clock, keep_alive_s):
                for event in (*(() if has_begun else builder.begin()), *builder.add(piece.delta)):
                    await _send(events, event)
                has_begun = True
        await events.end()
        return events.response


@contextlib.contextmanager
def _own_names() -> Iterator[None]:
    try:
        yield
    except RequestError as error:
        error.param = OWN_NAMES.get(error.param or "", error.param)
        raise


async def _send(events: EventStream, event: Event) -> None:
    await events.event(event, name=event["type"])
