"""Keeps the API and the announcements at the addresses that this machine has now: roaming, cables, sleep."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from swarm.api.server import ApiServer
from swarm.app.network_plan import has_slept, is_loopback, plan_announcement, plan_network
from swarm.discovery.interfaces import places_of
from swarm.discovery.service import SwarmDiscovery
from swarm.domain.errors import ConfigError
from swarm.domain.nodes import Advert, Endpoint
from swarm.host.addresses import Interface, read_interfaces
from swarm.ports.clock import Clock

logger = logging.getLogger(__name__)

TICK_S = 1.0
LOOK_EVERY_S = 5.0
"""Between two looks at the interfaces, each of which takes a few milliseconds."""


class NetworkWatch:
    """`asked_host` is the operator's own choice: then nothing else is listened at, and its loss is told.

    `on_address` is told the address by which others now reach this machine best."""

    def __init__(
        self,
        api: ApiServer,
        discovery: SwarmDiscovery,
        advert: Callable[[tuple[Endpoint, ...]], Advert],
        asked_host: str,
        clock: Clock,
        on_address: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._api, self._discovery, self._advert = api, discovery, advert
        self._asked_host, self._clock, self._on_address = asked_host, clock, on_address
        self._announced = api.endpoints
        self._is_cut_off = False
        self._refused: str | None = None
        """The address that could not be listened at; told once."""

    async def run(self) -> None:
        """Never returns."""
        looked_at = now = self._clock.now()
        wall = self._clock.wall()
        while True:
            await self._clock.sleep(TICK_S)
            before, now = now, self._clock.now()
            wall_before, wall = wall, self._clock.wall()
            slept = has_slept(now - before, wall - wall_before)
            if slept or now - looked_at >= LOOK_EVERY_S:
                looked_at = now
                await self.look()
            if slept:
                logger.info("this machine slept, or its clock was set; the others are asked for again")
                await self._discovery.refresh()

    async def announce(self) -> None:
        """What this node says of itself, where it is now."""
        await self._discovery.update(self._advert(self._announced))

    async def look(self) -> None:
        try:
            interfaces = await asyncio.to_thread(read_interfaces)
        except OSError as error:  # An interface may vanish while it is read; the next look is soon.
            logger.debug("the interfaces cannot be read", extra={"fields": {"problem": str(error)}})
            return
        was_cut_off = self._is_cut_off
        if self._asked_host:
            self._note(cut_off=not places_of([self._asked_host]))
            await self._discovery.check_interfaces()
        else:
            await self._listen(interfaces)
            await self._follow(interfaces)
        if was_cut_off and not self._is_cut_off:
            await self._discovery.refresh()

    async def _listen(self, interfaces: Sequence[Interface]) -> None:
        plan = plan_network([endpoint.host for endpoint in self._api.endpoints], interfaces)
        if plan.join is not None:
            await self._join(plan.join)
        for host in plan.leave:
            await self._api.stop_listening(host)
            logger.warning("an address of this machine is gone", extra={"fields": {"address": host}})

    async def _join(self, host: str) -> None:
        try:
            endpoint = await self._api.also_listen(host)
        except ConfigError as error:
            if self._refused != host:
                self._refused = host
                fields = {"address": host, "problem": str(error)}
                logger.warning("the API cannot follow to a new address; it is tried again", extra={"fields": fields})
            return
        self._refused = None
        fields = {"url": f"http://{endpoint}/v1"}
        logger.info("the API listens at a new address of this machine", extra={"fields": fields})

    async def _follow(self, interfaces: Sequence[Interface]) -> None:
        listening = {endpoint.host: endpoint for endpoint in self._api.endpoints}
        endpoints = tuple(listening[host] for host in plan_announcement(listening, interfaces))
        is_lan_known = not all(is_loopback(endpoint.host) for endpoint in self._announced)
        self._note(cut_off=not endpoints and is_lan_known)
        if endpoints and endpoints != self._announced:
            self._announced = endpoints
            self._on_address(endpoints[0].host)
            await self.announce()
        else:
            await self._discovery.check_interfaces()

    def _note(self, *, cut_off: bool) -> None:
        if cut_off and not self._is_cut_off:
            fields = {"addresses": [endpoint.host for endpoint in self._announced]}
            logger.warning("no network reaches this machine at its addresses any more", extra={"fields": fields})
        self._is_cut_off = cut_off
