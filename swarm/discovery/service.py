"""This node on mDNS: says that it is there, asks who else is, and says goodbye.

Announcements are hints where to probe: mDNS never notices a crash, and anybody can forge it. What is heard goes to
`on_advert` and `on_goodbye` as it comes, again and again; who is really there is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from itertools import chain, repeat
from types import TracebackType
from typing import Any, Self

from zeroconf import Error as ZeroconfError
from zeroconf import ServiceInfo

from swarm.discovery.ear import Ear
from swarm.discovery.interfaces import Place, places_of, without_zone
from swarm.discovery.multicast import Multicast
from swarm.discovery.service_record import (
    SERVICE_TYPE,
    ServiceRecord,
    instance_name,
    node_of_instance,
    read_service,
    txt_properties,
)
from swarm.discovery.settings import DiscoverySettings
from swarm.domain.ids import NodeId
from swarm.domain.nodes import Advert

logger = logging.getLogger(__name__)

FIRST_PAUSES_S = (1.0, 2.0)
"""Between the first questions: the first one may be lost, and a newcomer should not wait."""
FAULTS = (OSError, RuntimeError, ValueError, ZeroconfError)
"""What zeroconf raises where a network is not as it should be."""


class SwarmDiscovery:
    """An async context manager; open it once a process. It opens on `host` and follows the addresses of the advert.

    Where multicast cannot be used it warns, and tries again at every `check_interfaces` and `update`.
    """

    def __init__(
        self,
        advert: Advert,
        host: str,
        settings: DiscoverySettings,
        on_advert: Callable[[Advert], None],
        on_goodbye: Callable[[NodeId], None],
    ) -> None:
        self._advert, self._host, self._settings = advert, host, settings
        self._on_advert, self._on_goodbye = on_advert, on_goodbye
        self._places: tuple[Place, ...] = ()
        self._multicast: Multicast | None = None
        self._sending: list[asyncio.Task[None]] = []
        self._changing = asyncio.Lock()
        self._has_warned = False
        self._is_closed = False

    async def __aenter__(self) -> Self:
        if self._settings.mdns:
            await self._open(places_of([self._host]))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    @property
    def is_open(self) -> bool:
        """Multicast is in use."""
        return self._multicast is not None

    def start_advertising(self) -> None:
        if self._multicast is not None:
            self._send(self._multicast.register(service_info(self._advert)), "mDNS announcement")

    def start_discovery(self) -> None:
        if self._multicast is not None:
            self._multicast.listen(Ear(self._hear, self._lose))
            self._send(self._keep_asking(self._multicast), "mDNS questions")

    async def update(self, advert: Advert) -> None:
        """Announces what has changed, addresses too; returns when it has been said, half a second later."""
        self._advert = advert
        if not await self.check_interfaces():
            await self._announce()

    async def check_interfaces(self) -> bool:
        """To be called every few seconds: follows the announced addresses. True where something had changed."""
        async with self._changing:
            places = places_of(endpoint.host for endpoint in self._advert.endpoints)
            is_known = self._multicast is not None and places == self._places
            # Not after the goodbye: who tells of changes is stopped later than this, and would announce us again.
            if not self._settings.mdns or self._is_closed or not places or is_known:
                return False
            await (self._open(places) if self._multicast is None else self._move(self._multicast, places))
            return True

    async def refresh(self) -> None:
        """After a sleep: asks and announces at once."""
        if self._multicast is not None:
            self._multicast.ask()
            await self._announce()

    async def _open(self, places: tuple[Place, ...]) -> None:
        try:
            if not places:
                raise OSError("no interface has that address")
            self._multicast = await Multicast.open(places)
        except FAULTS as error:
            self._warn(error)
            return
        self._places, self._has_warned = places, False
        logger.debug("multicast is in use", extra={"fields": _fields(places)})
        self.start_discovery()
        self.start_advertising()

    async def _move(self, multicast: Multicast, places: tuple[Place, ...]) -> None:
        try:
            await multicast.move(places, service_info(self._advert))
        except FAULTS as error:
            self._warn(error)
            return
        self._places, self._has_warned = places, False
        logger.info("multicast follows this machine's addresses", extra={"fields": _fields(places)})
        multicast.ask()

    async def _announce(self) -> None:
        if self._multicast is None:
            return
        try:
            await self._multicast.update(service_info(self._advert))
        except FAULTS as error:
            logger.warning("a change was not announced on mDNS", extra={"fields": {"problem": type(error).__name__}})

    async def _close(self) -> None:
        self._is_closed = True
        async with self._changing:
            sending, self._sending = self._sending, []
            for task in sending:
                task.cancel()
            await asyncio.gather(*sending, return_exceptions=True)
            multicast, self._multicast = self._multicast, None
            if multicast is not None:
                await multicast.close()

    def _send(self, saying: Coroutine[Any, Any, None], name: str) -> None:
        """Owned until `_close`."""
        self._sending.append(asyncio.create_task(saying, name=name))

    async def _keep_asking(self, multicast: Multicast) -> None:
        for pause_s in chain(FIRST_PAUSES_S, repeat(self._settings.ask_every_s)):
            multicast.ask()
            await asyncio.sleep(pause_s)

    def _warn(self, error: Exception) -> None:
        """Once, until it works again."""
        if not self._has_warned:
            self._has_warned = True
            hosts = [endpoint.host for endpoint in self._advert.endpoints]
            logger.warning(
                "multicast cannot be used, so other nodes are not found by themselves; name them with --peer HOST:PORT",
                extra={"fields": {"hosts": hosts, "problem": f"{type(error).__name__}: {error}"}},
            )

    def _hear(self, name: str, record: ServiceRecord | None) -> None:
        if self._multicast is None or node_of_instance(name) in (None, self._advert.node):
            return
        record = record or self._multicast.read(name)
        if record is None:
            return  # The rest comes with the answer to our next question.
        networks = [network for place in self._places for network in place.networks]
        advert = read_service(record, self._advert.node, networks)
        if advert is not None:
            self._on_advert(advert)

    def _lose(self, name: str) -> None:
        node = node_of_instance(name)
        if node is not None and node != self._advert.node:
            self._on_goodbye(node)


def create_discovery_service(
    advert: Advert,
    settings: DiscoverySettings,
    on_advert: Callable[[Advert], None],
    on_goodbye: Callable[[NodeId], None],
) -> SwarmDiscovery:
    """On the interface of the address that is announced first."""
    return SwarmDiscovery(advert, advert.endpoints[0].host, settings, on_advert, on_goodbye)


def service_info(advert: Advert) -> ServiceInfo:
    """One SRV record has one port: endpoints on another port than the first are left out."""
    port = advert.endpoints[0].port
    hosts = [without_zone(endpoint.host) for endpoint in advert.endpoints if endpoint.port == port]
    return ServiceInfo(
        SERVICE_TYPE,
        instance_name(advert.node),
        port=port,
        parsed_addresses=hosts,
        properties=txt_properties(advert),
        # A host name of its own: two nodes of one machine must not withdraw each other's addresses.
        server=f"{advert.node}.local.",
    )


def _fields(places: tuple[Place, ...]) -> dict[str, object]:
    return {"hosts": [place.host for place in places], "interfaces": [place.interface for place in places]}
