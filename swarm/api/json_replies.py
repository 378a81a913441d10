"""Plain JSON responses, and the choice between msgpack and JSON for what nodes read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from swarm.wire.codec import JSON_TYPE, MSGPACK_TYPE, encode


def json_reply(body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    data = json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    return web.Response(body=data, status=status, headers=headers, content_type=JSON_TYPE)


def wire_reply(request: web.Request, message: Any) -> web.Response:
    """msgpack where the caller accepts it by name, as nodes do; else JSON."""
    if MSGPACK_TYPE in request.headers.get("Accept", ""):
        return web.Response(body=encode(message, "application/msgpack"), content_type=MSGPACK_TYPE)
    return web.Response(body=encode(message, "application/json"), content_type=JSON_TYPE)
