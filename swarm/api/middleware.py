"""Around every handler: who may call, a request id, errors in one shape, and a count of what is running."""

from __future__ import annotations

import asyncio
import logging
import re
import traceback
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from aiohttp import web

from swarm.api.bodies import BODY_DIGEST
from swarm.api.cors import Origins, cors_headers, preflight_reply
from swarm.api.errors import error_body, failure_of, not_ready, queue_facts, retry_headers
from swarm.api.json_replies import json_reply
from swarm.api.keys import Keys
from swarm.api.security import refuse_strangers
from swarm.api.services import ApiServices
from swarm.api.settings import ApiSettings
from swarm.domain.errors import RequestError, SwarmError, Unavailable
from swarm.domain.ids import NodeId

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
OWN_ID = web.RequestKey("own_id", str)
"""Unique on this node; what the request is called within it."""
REQUEST_ID = web.RequestKey("request_id", str)
"""What the response is marked with: the caller's own id where it sent one."""
CLIENT = web.RequestKey("client", str)
"""Who asks, as far as that can be told."""
ORIGIN = web.RequestKey("origin", str)
"""Of the page that calls, where it may read the reply."""
CALLERS_ID = re.compile(r"[\x21-\x7e]{1,128}")
"""A caller's request id that is fit for a header and a log line."""


class InFlight:
    """Counts requests, so that stopping can wait for them."""

    def __init__(self) -> None:
        self._count = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def __enter__(self) -> None:
        self._count += 1
        self._idle.clear()

    def __exit__(self, *_: object) -> None:
        self._count -= 1
        if not self._count:
            self._idle.set()

    async def wait_until_idle(self, timeout_s: float) -> bool:
        """Whether it came to that in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call."""

    own_names: Collection[str]
    origins: Origins
    keys: Keys

    @classmethod
    def of(cls, settings: ApiSettings, own_names: Collection[str], node: NodeId) -> Access:
        return cls(own_names, Origins(settings.cors_origins), Keys(settings.keys, node))

    def check(self, request: web.Request) -> None:
        """Raises `RequestError`."""
        origin = self.origins.allowed(request.headers)
        refuse_strangers(request.method, request.headers, self.own_names, origin)
        if origin is not None:
            request[ORIGIN] = origin
        digest = self.keys.check(request.method, request.path, request.headers)
        if digest is not None:
            request[BODY_DIGEST] = digest
        request[CLIENT] = self.keys.client_of(request.headers, request.remote)


class Gate:
    """The middleware of the whole application."""

    def __init__(self, services: ApiServices, access: Access, in_flight: InFlight) -> None:
        self._services, self._access, self._in_flight = services, access, in_flight

    @web.middleware
    async def handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("X-Request-Id", "")
        request[OWN_ID] = self._services.new_id()
        request[REQUEST_ID] = given if CALLERS_ID.fullmatch(given) else request[OWN_ID]
        with self._in_flight:
            try:
                self._access.check(request)
                if ORIGIN in request and (reply := preflight_reply(request)):
                    return reply
                return await handler(request)
            except web.HTTPException as error:
                return self._tell(request, _as_request_error(request, error), error.headers.get("Allow"))
            except Exception as error:
                return self._tell(request, error)

    def _tell(self, request: web.Request, error: Exception, allow: str | None = None) -> web.Response:
        if not isinstance(error, SwarmError):
            _log_unforeseen(request, error)
        body = error_body(error)
        if isinstance(error, Unavailable):
            body |= queue_facts(error) if error.busy else not_ready(self._services.status())
        headers = retry_headers(error) | ({"Allow": allow} if allow else {})
        response = json_reply(body, failure_of(error).status, headers)
        if not request.content.at_eof() and request.body_exists:
            response.force_close()
        return response


def _log_unforeseen(request: web.Request, error: Exception) -> None:
    """Where it happened, without the error's message, which may hold a caller's text."""
    trace = [
        f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}"
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    fields = {"request": request[REQUEST_ID], "path": request.path, "error": type(error).__name__, "trace": trace}
    logger.error("a request met an unforeseen error", extra={"fields": fields})


def _as_request_error(request: web.Request, error: web.HTTPException) -> RequestError:
    match error:
        case web.HTTPNotFound():
            message = f"There is nothing at {request.path}; the API begins at /v1, for example /v1/chat/completions."
            return RequestError(message, status=404, code="unknown_url")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            message = f"{request.method} is not allowed at {request.path}; use {allowed}."
            return RequestError(message, status=405, code="method_not_allowed")
        case _:
            return RequestError(error.reason, status=error.status)


async def add_common_headers(request: web.Request, response: web.StreamResponse) -> None:
    """On every response, errors and streams included."""
    response.headers["X-Request-Id"] = request.get(REQUEST_ID, "-")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Server"] = "local-swarm"
    if ORIGIN in request:
        response.headers.update(cors_headers(request[ORIGIN]))
