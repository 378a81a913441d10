"""GET /openapi.json: what this node serves, made from the very types that read the bodies of requests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Literal

from aiohttp import web
from pydantic import TypeAdapter

import swarm
from swarm.api.operations import ANYWHERE, BODY, OPERATIONS, WEIGHTS, Operation
from swarm.api.page_routes import TYPES
from swarm.api.shapes.replies import ErrorReply
from swarm.wire.codec import JSON_TYPE

SCHEMAS = "#/components/schemas/{model}"


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
