"""What is answered to bytes that are not HTTP: the shape of error that everybody gets, where aiohttp has plain text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from swarm.api.errors import error_body
from swarm.api.json_replies import json_reply
from swarm.domain.errors import RequestError

CANCEL_S = 0.1
"""aiohttp's own patience with what is cancelled after the drain."""
MESSAGE = "The request is not valid HTTP."


class _Protocol(web.RequestHandler):
    __slots__ = ("new_id",)
    new_id: Callable[[], str]

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Logs as aiohttp does, and may raise as it does where an answer has begun."""
        super().handle_error(request, status, exc, message)
        told = RequestError(MESSAGE, status=status, code="malformed_request") if status < 500 else exc
        headers = {"X-Request-Id": self.new_id(), "X-Content-Type-Options": "nosniff", "Server": "local-swarm"}
        response = json_reply(error_body(told or RuntimeError()), status, headers)
        response.force_close()
        return response


class _Server(web.Server):
    def __init__(self, made: web.Server, new_id: Callable[[], str], options: dict[str, Any]) -> None:
        super().__init__(
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            **options,
        )
        self._new_id, self._options = new_id, options

    def __call__(self) -> web.RequestHandler:
        protocol = _Protocol(self, loop=self._loop, **self._options)
        protocol.new_id = self._new_id
        return protocol


class Runner(web.AppRunner):
    """aiohttp's own, with such a server."""

    __slots__ = ("_new_id", "_options")

    def __init__(self, application: web.Application, new_id: Callable[[], str], **options: Any) -> None:
        """`options` are those of aiohttp's handler of requests; see there."""
        super().__init__(application, handler_cancellation=True, shutdown_timeout=CANCEL_S, **options)
        self._new_id, self._options = new_id, options

    async def _make_server(self) -> _Server:
        return _Server(await super()._make_server(), self._new_id, self._options)
