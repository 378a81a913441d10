"""What the served model does besides answering: embeddings, token ids, and back."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from swarm.api.bodies import read_json_object
from swarm.api.json_replies import json_reply
from swarm.api.model_requests import EmbeddingAsk, parse_detokenize, parse_embedding, parse_tokenize
from swarm.api.models import no_such_model
from swarm.api.services import ApiServices
from swarm.api.settings import ApiSettings
from swarm.api.shapes.base import refusal
from swarm.api.shapes.swarm_options import split_model
from swarm.domain.errors import RequestError
from swarm.domain.tokens import Embeddings
from swarm.ports.model_tools import ModelTools


class ModelRoutes:
    def __init__(self, services: ApiServices, settings: ApiSettings) -> None:
        self._services, self._settings = services, settings

    def routes(self) -> list[web.RouteDef]:
        return [
            route
            for prefix in ("/v1", "")
            for route in (
                web.post(prefix + "/embeddings", self._embeddings),
                web.post(prefix + "/tokenize", self._tokenize),
                web.post(prefix + "/detokenize", self._detokenize),
            )
        ]

    async def _embeddings(self, request: web.Request) -> web.Response:
        asked = parse_embedding(await self._body(request))
        self._check_model(asked.model)
        made = await self._tools().embed(asked.inputs)
        return json_reply(embeddings_body(made, asked))

    async def _tokenize(self, request: web.Request) -> web.Response:
        asked = parse_tokenize(await self._body(request))
        self._check_model(asked.model)
        cut = await self._tools().tokenize(
            asked.prompt,
            tools=asked.tools,
            template=asked.template,
            add_special_tokens=asked.add_special_tokens,
        )
        strings = list(cut.tokens) if asked.strings else None
        counts = {"count": len(cut.ids), "max_model_len": cut.context_tokens}
        return json_reply({**counts, "tokens": list(cut.ids), "token_strs": strings})

    async def _detokenize(self, request: web.Request) -> web.Response:
        asked = parse_detokenize(await self._body(request))
        self._check_model(split_model(asked.model)[0])
        text = await self._tools().detokenize(asked.tokens)
        return json_reply({"prompt": text, "content": text})

    async def _body(self, request: web.Request) -> dict[str, Any]:
        return await read_json_object(request, self._settings.body_limit_bytes)

    def _tools(self) -> ModelTools:
        if self._services.tools is None:
            raise RequestError("This node's model does nothing but answer.", status=501, code="not_supported")
        return self._services.tools

    def _check_model(self, name: str | None) -> None:
        """Another node's tokens and vectors are not this node's to give."""
        model = self._services.status().model
        if name is not None and model is not None and name != model.id:
            raise no_such_model(name, f"this node makes vectors and tokens with {model.id} only")


def embeddings_body(made: Embeddings, asked: EmbeddingAsk) -> dict[str, Any]:
    vectors = [_shortened(vector, asked.dimensions) for vector in made.vectors]
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _encoded(vector, asked.encoding)}
            for index, vector in enumerate(vectors)
        ],
        "model": made.model,
        "usage": {"prompt_tokens": made.prompt_tokens, "total_tokens": made.prompt_tokens},
    }


def _shortened(vector: Sequence[float], dimensions: int | None) -> Sequence[float]:
    if dimensions is None:
        return vector
    if dimensions > len(vector):
        raise refusal(("dimensions",), f"must be at most {len(vector)}, the size of this model's vectors.")
    kept = vector[:dimensions]
    length = math.hypot(*kept)
    return [value / length for value in kept] if length else kept


def _encoded(vector: Sequence[float], encoding: str) -> Any:
    if encoding == "float":
        return list(vector)
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
