"""The API's socket: which port it got, what it serves, and how it stops."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Collection
from contextlib import AsyncExitStack
from ipaddress import ip_address
from types import TracebackType
from typing import Self

from aiohttp import web

from swarm.api.event_routes import EventRoutes
from swarm.api.events import EventFeed
from swarm.api.federation_routes import FederationRoutes
from swarm.api.health import HealthRoutes
from swarm.api.middleware import Access, Gate, InFlight, add_common_headers
from swarm.api.model_routes import ModelRoutes
from swarm.api.openai_routes import OpenAiRoutes
from swarm.api.openapi import DescriptionRoutes
from swarm.api.page_routes import Page, PageRoutes, load_page
from swarm.api.protocol import Runner
from swarm.api.protocol_log import ProtocolLog
from swarm.api.recent_requests import RecentRequests
from swarm.api.responses_routes import ResponsesRoutes
from swarm.api.services import ApiServices
from swarm.api.settings import ApiSettings
from swarm.api.weights_routes import WeightsRoutes
from swarm.domain.errors import ConfigError
from swarm.domain.nodes import Endpoint

logger = logging.getLogger(__name__)

IDLE_S = 30.0
"""A connection may be silent for this long; also the longest that the head of a request may take."""
LINGER_S = 2.0
"""How long a body that was refused is read and thrown away, so that the caller gets to see the refusal."""
TIDY_S = 5.0
"""What cancelled requests may take to give back what they hold."""
BACKLOG = 1024
LOOPBACK = "127.0.0.1"


class PortInUse(ConfigError):
    """Another one may be free."""


class ApiServer:
    """Open it to serve; leaving it stops accepting, lets running answers finish for `drain_s`, cancels the others."""

    def __init__(self, services: ApiServices, settings: ApiSettings, host: str) -> None:
        self._services, self._settings, self._host = services, settings, host
        self._in_flight = InFlight()
        self._feed = EventFeed(services.clock)
        self._stack = AsyncExitStack()
        self._runner: web.AppRunner | None = None
        self._sites: dict[str, web.TCPSite] = {}
        """By address."""
        self._port = 0
        """Of all of them, as it came out for the first."""

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens first of all, or did, where no address is left. Only while it is open."""
        if self._runner is None:
            raise RuntimeError("the API server is not open")
        return next(iter(self.endpoints), Endpoint(self._host, self._port))

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where others reach it; localhost where nobody else does."""
        listening = [Endpoint(host, self._port) for host in self._sites]
        return tuple(endpoint for endpoint in listening if not _is_loopback(endpoint.host)) or tuple(listening[:1])

    async def also_listen(self, host: str) -> Endpoint:
        """At another address of this machine, on the same port. Raises `ConfigError` where that cannot be."""
        if self._runner is None:
            raise RuntimeError("the API server is not open")
        if host not in self._sites:
            self._sites[host] = await self._start_site(self._runner, host, self._port)
        return Endpoint(host, self._port)

    async def stop_listening(self, host: str) -> None:
        """Requests that came by that address are finished."""
        if site := self._sites.pop(host, None):
            await site.stop()

    async def __aenter__(self) -> Self:
        if not self._host:
            raise ConfigError("The API needs an address to listen on; set api.host to one of this machine's.")
        names = (socket.gethostname(), self._services.status().name)
        page = await asyncio.to_thread(load_page)
        application = build_application(self._services, self._settings, names, page, self._in_flight, self._feed)
        async with AsyncExitStack() as stack:
            runner = Runner(
                application,
                self._services.new_id,
                access_log=None,
                logger=ProtocolLog(logging.getLogger("aiohttp.server"), {}),
                auto_decompress=False,
                keepalive_timeout=IDLE_S,
                lingering_time=LINGER_S,
            )
            stack.push_async_callback(self._in_flight.wait_until_idle, TIDY_S)
            stack.push_async_callback(runner.cleanup)
            await runner.setup()
            stack.push_async_callback(self._drain)
            await self._listen(runner)
            await self._listen_on_loopback(runner)
            stack.callback(self._services.subscribe(self._feed.hear))
            self._runner, self._stack = runner, stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _listen(self, runner: web.AppRunner) -> None:
        first = self._settings.port
        ports = range(first, min(first + self._settings.port_tries, 65535) + 1) if first else (0,)
        for port in ports:
            try:
                site = self._sites[self._host] = await self._start_site(runner, self._host, port)
            except PortInUse:
                continue
            self._port = site.port
            if port != first:
                fields = {"wanted": first, "port": self._port}
                logger.warning("the API's port is in use; it listens on another one", extra={"fields": fields})
            return
        raise ConfigError(
            f"Ports {ports[0]} to {ports[-1]} are all in use on {self._host}; set api.port to a free one."
        )

    async def _listen_on_loopback(self, runner: web.AppRunner) -> None:
        """People on this machine write `localhost`; where another daemon has that port there, they cannot."""
        if _is_loopback(self._host):
            return
        try:
            self._sites[LOOPBACK] = await self._start_site(runner, LOOPBACK, self._port)
        except ConfigError as error:
            fields = {"address": f"{LOOPBACK}:{self._port}", "problem": str(error)}
            logger.warning("the API is not reachable as localhost", extra={"fields": fields})

    async def _start_site(self, runner: web.AppRunner, host: str, port: int) -> web.TCPSite:
        site = web.TCPSite(runner, host, port, backlog=BACKLOG)
        try:
            await site.start()
        except OSError as error:
            await site.stop()
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(f"Port {port} is in use on {host}; set api.port to a free one.") from None
            message = f"The API cannot listen on {host}, port {port}: {error.strerror}; set api.host."
            raise ConfigError(message) from None
        return site

    async def _drain(self) -> None:
        for site in self._sites.values():
            await site.stop()
        self._feed.close()
        if not await self._in_flight.wait_until_idle(self._settings.drain_s):
            logger.warning("answers were still running when the time to stop was over; they are cancelled")


def _is_loopback(host: str) -> bool:
    return ip_address(host.partition("%")[0]).is_loopback


def build_application(
    services: ApiServices,
    settings: ApiSettings,
    own_names: Collection[str],
    page: Page,
    in_flight: InFlight,
    feed: EventFeed,
) -> web.Application:
    recent = RecentRequests(services.clock)
    application = web.Application(
        middlewares=[Gate(services, Access.of(settings, own_names, services.status().node), in_flight).handle],
        client_max_size=settings.body_limit_bytes,
    )
    application.on_response_prepare.append(add_common_headers)
    application.add_routes(OpenAiRoutes(services, settings, recent).routes())
    application.add_routes(ResponsesRoutes(services, settings, recent).routes())
    application.add_routes(ModelRoutes(services, settings).routes())
    application.add_routes(FederationRoutes(services, recent, feed).routes())
    application.add_routes(EventRoutes(services, feed, settings.keep_alive_s).routes())
    application.add_routes(HealthRoutes(services).routes())
    if services.weights is not None:
        application.add_routes(WeightsRoutes(services.weights).routes())
    application.add_routes(DescriptionRoutes(shares_weights=services.weights is not None).routes())
    application.add_routes(PageRoutes(page).routes())
    return application
