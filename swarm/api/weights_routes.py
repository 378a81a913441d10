"""/v1/weights/*: this node's model for others. Files are named by the digest of their content, so that no path is."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from swarm.api.json_replies import wire_reply
from swarm.domain.errors import RequestError, Unavailable
from swarm.domain.weights import PIECE_BYTES
from swarm.ports.weights import WeightsShelf

T = TypeVar("T")
DIGEST = "{digest:[0-9a-f]{64}}"
LONGEST_RANGE = 16 * PIECE_BYTES
MOST_AT_ONCE = 32
"""Transfers under way; each holds a file open for as long as the other side reads."""


class WeightsRoutes:
    def __init__(self, shelf: WeightsShelf) -> None:
        self._shelf = shelf
        self._sending: set[Transfer] = set()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/weights/offer", self._offer),
            web.get(f"/v1/weights/{DIGEST}/pieces", self._pieces),
            web.get(f"/v1/weights/{DIGEST}/held", self._held),
            web.get(f"/v1/weights/{DIGEST}/data", self._data, allow_head=False),
        ]

    async def _offer(self, request: web.Request) -> web.Response:
        return wire_reply(request, _found(await self._shelf.offer(request.query.get("model", ""))))

    async def _pieces(self, request: web.Request) -> web.Response:
        return wire_reply(request, _found(await self._shelf.pieces(request.match_info["digest"])))

    async def _held(self, request: web.Request) -> web.Response:
        return wire_reply(request, _found(await self._shelf.held(request.match_info["digest"])))

    async def _data(self, request: web.Request) -> web.StreamResponse:
        """The kernel sends the file; only bytes that were checked are let go."""
        start, end = _range_of(request)
        if len(self._sending) >= MOST_AT_ONCE:
            raise Unavailable("This node is sending weights to as many as it can.", retry_after_s=1, busy=True)
        path = await self._shelf.locate(request.match_info["digest"], start, end)
        return Transfer(_found(path), self._sending)


class Transfer(web.FileResponse):
    """In `running` while its bytes are on their way."""

    def __init__(self, path: Path, running: set[Transfer]) -> None:
        super().__init__(path, headers={"Content-Type": "application/octet-stream"})
        self._running = running

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        self._running.add(self)
        try:
            return await super().prepare(request)
        finally:
            self._running.discard(self)


def _found(value: T | None) -> T:
    if value is None:
        raise RequestError("This node does not have it.", status=404, code="no_such_weights")
    return value


def _range_of(request: web.Request) -> tuple[int, int]:
    try:
        wanted = request.http_range
    except ValueError:
        wanted = slice(None)
    start, end = wanted.start, wanted.stop
    if start is None or end is None or not 0 <= start < end <= start + LONGEST_RANGE:
        message = f"Name one range of at most {LONGEST_RANGE} bytes: `Range: bytes=0-{PIECE_BYTES - 1}`."
        raise RequestError(message, status=416, code="bad_range")
    return start, end
