"""Bodies of requests: bounded in size and in time, JSON only where JSON is due."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any, NoReturn

from aiohttp import web

from swarm.api.shapes.base import half_character, path_of
from swarm.domain.errors import RequestError
from swarm.wire.codec import JSON_TYPE
from swarm.wire.proof import digest_of

BODY_DIGEST = web.RequestKey("body_digest", str)
"""SHA-256 that the body must have, where another node proves its key with it."""
FEDERATION_LIMIT_BYTES = 2**20
PATIENCE_S = 20.0
"""For any body, before the time that its size may take at `SLOWEST_BYTES_PER_S`."""
SLOWEST_BYTES_PER_S = 64 * 2**10
ESCAPED_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
"""Of a character beyond U+FFFF; JSON may write one half without the other."""


async def read_body(request: web.Request, limit_bytes: int) -> bytes:
    """Raises `RequestError` for a body that is too large, compressed, or too slow."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise RequestError("Compressed bodies are not accepted; send the body as it is.", status=415)
    expected = limit_bytes if request.content_length is None else request.content_length
    if expected > limit_bytes:
        raise _too_large(limit_bytes)
    try:
        async with asyncio.timeout(PATIENCE_S + expected / SLOWEST_BYTES_PER_S):
            body = await _read_at_most(request, limit_bytes)
    except TimeoutError:
        raise RequestError("The body of the request came too slowly.", status=408) from None
    if BODY_DIGEST in request and digest_of(body) != request[BODY_DIGEST]:
        raise RequestError("The body is not the one that the proof is for.", status=401, code="invalid_api_key")
    return body


async def _read_at_most(request: web.Request, limit_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > limit_bytes:
            raise _too_large(limit_bytes)
    return bytes(body)


def _too_large(limit_bytes: int) -> RequestError:
    message = f"The body of the request is larger than {limit_bytes} bytes."
    return RequestError(message, status=413, code="request_too_large")


async def read_json_object(request: web.Request, limit_bytes: int) -> dict[str, Any]:
    """Insisting on the content type keeps other sites' plain forms out, which browsers send without asking us."""
    if request.content_type != JSON_TYPE:
        raise RequestError("Send the body as JSON, with the header `Content-Type: application/json`.", status=415)
    return parse_json_object(await read_body(request, limit_bytes))


def parse_json_object(body: bytes) -> dict[str, Any]:
    """Raises `RequestError`, whatever the bytes. NaN and Infinity are not JSON."""
    try:
        value = json.loads(body.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise RequestError("The body of the request is not valid JSON.", code="invalid_json") from None
    if not isinstance(value, dict):
        raise RequestError("The body of the request must be a JSON object.", code="invalid_json")
    if ESCAPED_HALF.search(body) and (place := half_character(value)):
        name = path_of(place)
        raise RequestError(f"`{name}` holds half a character (a lone UTF-16 surrogate).", param=name)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
