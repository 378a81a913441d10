"""GET /v1/federation/events: the table of peers, then each change of it, as server-sent events."""

from __future__ import annotations

import asyncio
from functools import partial

from aiohttp import web

from swarm.api.events import EventFeed, EventQueue
from swarm.api.services import ApiServices
from swarm.api.sse import EventStream, ReaderGone
from swarm.wire.codec import to_plain
from swarm.wire.federation_messages import PeersReply


class EventRoutes:
    """`snapshot` first, which is what /v1/federation/peers says; then `joined`, `changed`, `suspect` and `left`."""

    def __init__(self, services: ApiServices, feed: EventFeed, keep_alive_s: float) -> None:
        self._services, self._feed, self._keep_alive_s = services, feed, keep_alive_s

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/federation/events", self._events, allow_head=False)]

    async def _events(self, request: web.Request) -> web.StreamResponse:
        stream = EventStream(request)
        with self._feed.listen(partial(_cut, request)) as queue:
            try:
                await stream.event(to_plain(self._snapshot()), name="snapshot")
                await self._pass_on(queue, stream)
            except ReaderGone as gone:
                return gone.response
        return stream.response

    def _snapshot(self) -> PeersReply:
        return PeersReply(self._services.status(), self._services.peers(), self._feed.recent())

    async def _pass_on(self, queue: EventQueue, stream: EventStream) -> None:
        while True:
            try:
                async with asyncio.timeout(self._keep_alive_s):
                    event = await queue.get()
            except TimeoutError:
                await stream.comment("still here")
                continue
            if event is None:
                await stream.end()
                return
            await stream.raw(event)


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
