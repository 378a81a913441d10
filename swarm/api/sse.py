"""Server-sent events on an aiohttp response whose headers are held back until there is something to say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from aiohttp import web

HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Type": "text/event-stream; charset=utf-8",
        "Cache-Control": "no-cache",
        "X-Accel-Buffering": "no",
    }
)
SEND_TIMEOUT_S = 60.0
"""A caller that takes nothing for this long is given up: it holds a place that others wait for."""


class ReaderGone(Exception):
    """Whoever asked does not read any more."""

    def __init__(self, response: web.StreamResponse) -> None:
        super().__init__("the caller has left")
        self.response = response


def event_bytes(data: Mapping[str, Any], name: str = "") -> bytes:
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


class EventStream:
    """One writer at a time. Until the first write a plain response with a real status can still be sent instead."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.response = web.StreamResponse(headers=HEADERS)

    @property
    def started(self) -> bool:
        return self.response.prepared

    async def event(self, data: Mapping[str, Any], name: str = "") -> None:
        await self.raw(event_bytes(data, name))

    async def raw(self, event: bytes) -> None:
        """What `event_bytes` made, for many streams at once."""
        await self._write(event)

    async def comment(self, text: str) -> None:
        await self._write(f": {text}\n\n".encode())

    async def done(self) -> None:
        """Ends the response at once: some clients wait for its end, not for [DONE]."""
        await self._write(b"data: [DONE]\n\n", last=True)

    async def end(self) -> None:
        await self._write(b": the end\n\n", last=True)

    async def _write(self, data: bytes, *, last: bool = False) -> None:
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                if not self.started:
                    await self.response.prepare(self._request)
                await self.response.write(data)
                if last:
                    await self.response.write_eof()
        except (ConnectionError, TimeoutError):
            self._drop()
            raise ReaderGone(self.response) from None

    def _drop(self) -> None:
        self.response.force_close()
        if self._request.transport is not None:
            self._request.transport.abort()
