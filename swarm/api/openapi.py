"""GET /openapi.json: what this node serves, made from the very types that read the bodies of requests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Literal

from aiohttp import web
from pydantic import TypeAdapter

import swarm
from swarm.api.model_requests import DetokenizeBody, EmbeddingBody, TokenizeBody
from swarm.api.openai_requests import ChatBody, CompletionBody
from swarm.api.page_routes import TYPES
from swarm.api.responses_requests import ResponseBody
from swarm.api.shapes.replies import (
    ChatReply,
    CompletionReply,
    DetokenizeReply,
    EmbeddingReply,
    ErrorReply,
    HealthReply,
    Model,
    ModelList,
    ResponseReply,
    TokenizeReply,
)
from swarm.domain.nodes import NodeStatus
from swarm.domain.weights import FilePieces, HeldPieces, WeightsOffer
from swarm.wire.codec import JSON_TYPE
from swarm.wire.federation_messages import (
    Goodbye,
    Hello,
    PeersReply,
    ScoreReply,
    ScoreRequest,
    VoteReply,
    VoteRequest,
)

EVENTS = "text/event-stream"
PAGE_FILES = ("text/css", "text/html", "text/javascript", "image/svg+xml")
BYTES = "application/octet-stream"
ANYWHERE = (400, 401, 403, 404, 405, 500)
"""Statuses that any request may get: it is no HTTP, may not call, or met a bug."""
BODY = (408, 413, 415)
MODEL = (429, 502, 503)
"""Of what the model must be there for."""
SCHEMAS = "#/components/schemas/{model}"


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str
    summary: str
    body: Any = None
    reply: Any = None
    """None: `content` says what it is instead, or there is none."""
    content: tuple[str, ...] = ()
    """Media types beside JSON."""
    success: int = 200
    more: tuple[int, ...] = ()
    """Further statuses, besides those anywhere and of a body."""
    query: tuple[str, ...] = ()
    also_without_v1: bool = False

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.path, self.path.removeprefix("/v1")) if self.also_without_v1 else (self.path,)


def _openai(method: str, path: str, summary: str, **more: Any) -> Operation:
    return Operation(method, path, summary, also_without_v1=True, **more)


OPERATIONS: tuple[Operation, ...] = (
    _openai("get", "/v1/models", "Models that can be asked now, here or on another node.", reply=ModelList),
    _openai("get", "/v1/models/{id}", "One of them.", reply=Model),
    _openai(
        "post",
        "/v1/chat/completions",
        "The answer to a conversation, whole or as events.",
        body=ChatBody,
        reply=ChatReply,
        content=(EVENTS,),
        more=(*MODEL, 409),
    ),
    _openai(
        "post",
        "/v1/completions",
        "The continuation of a text, whole or as events.",
        body=CompletionBody,
        reply=CompletionReply,
        content=(EVENTS,),
        more=(*MODEL, 409),
    ),
    _openai(
        "post",
        "/v1/responses",
        "The answer to a conversation, as OpenAI's newer endpoint has it; nothing is stored.",
        body=ResponseBody,
        reply=ResponseReply,
        content=(EVENTS,),
        more=(*MODEL, 409),
    ),
    _openai(
        "post",
        "/v1/embeddings",
        "A vector for each text: the mean of the model's last hidden states, of length 1.",
        body=EmbeddingBody,
        reply=EmbeddingReply,
        more=(*MODEL, 501),
    ),
    _openai("post", "/v1/tokenize", "Token ids of a text.", body=TokenizeBody, reply=TokenizeReply, more=(*MODEL, 501)),
    _openai(
        "post", "/v1/detokenize", "Text of token ids.", body=DetokenizeBody, reply=DetokenizeReply, more=(*MODEL, 501)
    ),
    _openai(
        "get", "/v1/health", "Whether this node can answer, which it has just tried.", reply=HealthReply, more=(503,)
    ),
    Operation("get", "/openapi.json", "This description.", reply=dict[str, Any]),
    Operation("get", "/", "The status page.", content=("text/html",)),
    Operation(
        "get", "/page/{name}", "A file of the status page.", content=("text/css", "text/javascript", "image/svg+xml")
    ),
    Operation("get", "/v1/federation/health", "What this node says of itself; 200 in any state.", reply=NodeStatus),
    Operation("get", "/v1/federation/peers", "This node and those that it knows.", reply=PeersReply),
    Operation("get", "/v1/federation/events", "The same, then each change.", content=(EVENTS,), more=(429, 503)),
    Operation("get", "/v1/federation/requests", "What was answered lately, without its text.", reply=dict[str, Any]),
    Operation("get", "/v1/federation/decisions", "How the last votes were decided.", reply=dict[str, Any]),
    Operation(
        "post", "/v1/federation/vote", "This node's own candidates.", body=VoteRequest, reply=VoteReply, more=MODEL
    ),
    Operation(
        "post",
        "/v1/federation/score",
        "How likely this node's model finds others' answers.",
        body=ScoreRequest,
        reply=ScoreReply,
        more=MODEL,
    ),
    Operation("post", "/v1/federation/hello", "Another node is there.", body=Hello, success=204),
    Operation("post", "/v1/federation/goodbye", "Another node leaves.", body=Goodbye, success=204),
)
WEIGHTS: tuple[Operation, ...] = (
    Operation(
        "get", "/v1/weights/offer", "What is here of a model.", reply=WeightsOffer, query=("model",), more=(429, 503)
    ),
    Operation("get", "/v1/weights/{digest}/pieces", "Hashes of a file's pieces.", reply=FilePieces, more=(429, 503)),
    Operation("get", "/v1/weights/{digest}/held", "Which pieces are here.", reply=HeldPieces, more=(429, 503)),
    Operation(
        "get", "/v1/weights/{digest}/data", "Bytes of a file.", content=(BYTES,), success=206, more=(416, 429, 503)
    ),
)


class DescriptionRoutes:
    """Made when it is asked for first: few ask, and it takes a tenth of a second that every start would wait for."""

    def __init__(self, *, shares_weights: bool) -> None:
        self._shares_weights = shares_weights
        self._body = b""

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/openapi.json", self._describe)]

    async def _describe(self, _request: web.Request) -> web.Response:
        self._body = self._body or await asyncio.to_thread(self._made)
        return web.Response(body=self._body, content_type=JSON_TYPE)

    def _made(self) -> bytes:
        return json.dumps(description(shares_weights=self._shares_weights)).encode()


def description(*, shares_weights: bool) -> dict[str, Any]:
    """OpenAPI 3.1."""
    operations = (*OPERATIONS, *(WEIGHTS if shares_weights else ()))
    schemas, components = _schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        for path in operation.paths:
            paths.setdefault(path, {})[operation.method] = _operation(operation, path, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Local Swarm", "version": swarm.__version__},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }


Mode = Literal["validation", "serialization"]
Schemas = Mapping[tuple[Any, Mode], Any]
Asked = tuple[Any, Mode, TypeAdapter[Any]]


def _schemas(operations: Sequence[Operation]) -> tuple[Schemas, dict[str, Any]]:
    """By type, and the parts that they share."""
    bodies = [operation.body for operation in operations if operation.body]
    replies = [operation.reply for operation in operations if operation.reply]
    inputs: list[Asked] = [(kind, "validation", TypeAdapter(kind)) for kind in dict.fromkeys(bodies)]
    outputs: list[Asked] = [(kind, "serialization", TypeAdapter(kind)) for kind in (*_distinct(replies), ErrorReply)]
    found, shared = TypeAdapter.json_schemas([*inputs, *outputs], ref_template=SCHEMAS)
    return MappingProxyType(found), dict(shared.get("$defs", {}))


def _distinct(kinds: Sequence[Any]) -> Iterator[Any]:
    seen: list[Any] = []
    for kind in kinds:
        if kind not in seen:
            seen.append(kind)
            yield kind


def _operation(operation: Operation, path: str, schemas: Schemas) -> dict[str, Any]:
    error = {JSON_TYPE: {"schema": schemas[ErrorReply, "serialization"]}}
    statuses = (*ANYWHERE, *(BODY if operation.body else ()), *operation.more)
    told: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": f"{operation.method}_{path.strip('/').replace('/', '_') or 'page'}",
        "responses": {
            str(operation.success): {"description": _phrase(operation.success), **_content(operation, schemas)},
            **{str(status): {"description": _phrase(status), "content": error} for status in sorted(statuses)},
        },
    }
    if parameters := [*_path_parameters(path), *_query_parameters(operation)]:
        told["parameters"] = parameters
    if operation.body:
        schema = schemas[operation.body, "validation"]
        told["requestBody"] = {"required": True, "content": {JSON_TYPE: {"schema": schema}}}
    return told


def _content(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    content: dict[str, Any] = {kind: {} for kind in operation.content}
    if operation.reply:
        content[JSON_TYPE] = {"schema": schemas[operation.reply, "serialization"]}
    return {"content": content} if content else {}


def _path_parameters(path: str) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": _path_schema(path)} for name in names]


def _path_schema(path: str) -> dict[str, Any]:
    return {"type": "string", "enum": sorted(TYPES)} if path.startswith("/page/") else {"type": "string"}


def _query_parameters(operation: Operation) -> list[dict[str, Any]]:
    return [{"name": name, "in": "query", "required": True, "schema": {"type": "string"}} for name in operation.query]


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase
