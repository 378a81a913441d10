"""OpenAI's routes: chat completions, completions, models."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from swarm.api.bodies import read_json_object
from swarm.api.choices import Choices, open_choices
from swarm.api.errors import error_body
from swarm.api.json_replies import json_reply
from swarm.api.middleware import CLIENT, OWN_ID
from swarm.api.models import known_models, model_body, no_such_model
from swarm.api.openai_replies import CHAT, COMPLETION, Answer, ChunkedReply, Form, ReplyHead, whole_reply
from swarm.api.openai_requests import Ask, Defaults, parse_chat, parse_completion
from swarm.api.recent_requests import RecentRequests, RequestWatch
from swarm.api.services import ApiServices
from swarm.api.settings import ApiSettings
from swarm.api.sse import EventStream, ReaderGone
from swarm.api.streaming import failures_told, spoken_pieces

ALONE_HEADER = "X-Swarm-Alone"


class OpenAiRoutes:
    def __init__(self, services: ApiServices, settings: ApiSettings, recent: RecentRequests) -> None:
        self._services, self._settings, self._recent = services, settings, recent

    def routes(self) -> list[web.RouteDef]:
        """Each with and without /v1: people paste either as the base URL."""
        return [
            route
            for prefix in ("/v1", "")
            for route in (
                web.get(prefix + "/models", self._models),
                web.get(prefix + "/models/{id:.+}", self._model),
                web.post(prefix + "/chat/completions", self._chat),
                web.post(prefix + "/completions", self._completion),
            )
        ]

    async def _models(self, _request: web.Request) -> web.Response:
        return json_reply({"object": "list", "data": await self._listed()})

    async def _model(self, request: web.Request) -> web.Response:
        wanted = request.match_info["id"]
        for model in await self._listed():
            if model["id"] == wanted:
                return json_reply(model)
        raise no_such_model(wanted, "no node that can answer now has it")

    async def _listed(self) -> list[dict[str, Any]]:
        """Those that answer now, then those that would be loaded."""
        loaded = known_models(self._services.status(), self._services.peers())
        names = {model.id for model in loaded}
        others = [model for model in await asyncio.to_thread(self._services.loadable) if model.id not in names]
        return [model_body(model) for model in loaded] + [model_body(model, loaded=False) for model in others]

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, CHAT, parse_chat)

    async def _completion(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, COMPLETION, parse_completion)

    async def _answer(
        self, request: web.Request, form: Form, parse: Callable[[Mapping[str, Any], Defaults], Ask]
    ) -> web.StreamResponse:
        body = await read_json_object(request, self._settings.body_limit_bytes)
        alone = request.headers.get(ALONE_HEADER) == "1"
        id = request[OWN_ID]
        ask = parse(body, Defaults(id, self._services.strategy, alone, request[CLIENT]))
        head = self._head(form, id, ask)
        reply = self._stream if ask.stream else self._whole
        try:
            with self._recent.watch(form.kind, id, ask.model, ask.strategy) as watch:
                async with open_choices(self._services.answers, ask.requests) as choices:
                    return await reply(request, ask, head, choices, watch)
        except ReaderGone as gone:
            return gone.response

    def _head(self, form: Form, id: str, ask: Ask) -> ReplyHead:
        models = known_models(self._services.status(), self._services.peers())
        served = next((model for model in models if ask.model in (None, model.id)), None)
        return ReplyHead(
            form=form,
            id=id,
            created=int(self._services.clock.wall()),
            model=ask.model or (served.id if served else ""),
            fingerprint=f"fp_{served.digest}" if served else None,
            choices_per_prompt=ask.choices_per_prompt,
            candidates_per_prompt=ask.candidates_per_prompt,
        )

    async def _whole(
        self, _request: web.Request, ask: Ask, head: ReplyHead, choices: Choices, watch: RequestWatch
    ) -> web.StreamResponse:
        answers = [Answer() for _ in ask.requests]
        async for piece in choices.pieces():
            if piece is not None:
                watch.saw(piece.delta)
                answers[piece.index].add(piece.delta)
        return json_reply(whole_reply(head, answers, token_ids=ask.token_ids, logprobs=ask.logprobs))

    async def _stream(
        self, request: web.Request, ask: Ask, head: ReplyHead, choices: Choices, watch: RequestWatch
    ) -> web.StreamResponse:
        events = EventStream(request)
        reply = ChunkedReply(head, ask.include_usage, ask.token_ids)
        keep_alive_s = self._settings.keep_alive_s
        async with failures_told(events, watch, lambda error: events.event(error_body(error))):
            async for piece in spoken_pieces(choices, events, watch, self._services.clock, keep_alive_s):
                for chunk in reply.chunks(piece):
                    await events.event(chunk)
            for chunk in reply.closing():
                await events.event(chunk)
        await events.done()
        return events.response
