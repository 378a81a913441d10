"""This node on mDNS: says that it is there, asks who else is, and says goodbye.

Announcements are hints where to probe: mDNS never notices a crash, and anybody can forge it. What is heard goes to
`on_advert` and `on_goodbye` as it comes, again and again; who is really there is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import chain, repeat
from types import TracebackType
from typing import Self

from zeroconf import Error as ZeroconfError
from zeroconf import ServiceInfo
from zeroconf._dns import DNSQuestion
from zeroconf._protocol.outgoing import DNSOutgoing
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf
from zeroconf.const import _CLASS_IN, _FLAGS_QR_QUERY, _TYPE_PTR

from swarm.discovery.ear import Ear
from swarm.discovery.interfaces import networks_of, without_zone
from swarm.discovery.service_record import (
    SERVICE_TYPE,
    Network,
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
CLOSE_TIMEOUT_S = 2.0
"""Three goodbyes take 0.25 s."""


class SwarmDiscovery:
    """An async context manager; open it once a process. Where multicast cannot be used it warns and does nothing."""

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
        self._networks: tuple[Network, ...] = ()
        self._multicast: AsyncZeroconf | None = None
        self._sending: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        if not self._settings.mdns:
            return self
        try:
            await self._open()
        except (OSError, RuntimeError, ValueError, ZeroconfError) as error:
            await self._close()
            fields = {"host": self._host, "problem": f"{type(error).__name__}: {error}"}
            logger.warning(
                "multicast cannot be used, so other nodes are not found by themselves; name them with --peer HOST:PORT",
                extra={"fields": fields},
            )
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    @property
    def is_open(self) -> bool:
        """Multicast is in use."""
        return self._multicast is not None

    async def start_advertising(self) -> None:
        """The name comes from a key and is nobody else's, so the 0.75 s of asking whether it is taken are saved."""
        if self._multicast is not None:
            info = service_info(self._advert)
            announcing = await self._multicast.async_register_service(info, cooperating_responders=True)
            self._sending.append(asyncio.create_task(_finish(announcing), name="mDNS announcement"))

    def start_discovery(self) -> None:
        if self._multicast is not None:
            self._multicast.zeroconf.async_add_listener(Ear(self._hear, self._lose), None)
            self._sending.append(asyncio.create_task(self._ask(self._multicast), name="mDNS questions"))

    async def update(self, advert: Advert) -> None:
        """Announces what has changed; returns when it has been said, half a second later."""
        self._advert = advert
        if self._multicast is None:
            return
        try:
            await _finish(await self._multicast.async_update_service(service_info(advert)))
        except (OSError, ZeroconfError) as error:
            logger.warning("a change was not announced on mDNS", extra={"fields": {"problem": type(error).__name__}})

    async def _open(self) -> None:
        self._networks = networks_of(self._host)
        self._multicast = AsyncZeroconf(interfaces=[without_zone(self._host)])
        await self._multicast.zeroconf.async_wait_for_start()
        if not self._multicast.zeroconf.engine.senders:
            raise OSError(f"the interface of {self._host} takes no multicast")
        self.start_discovery()
        await self.start_advertising()

    async def _close(self) -> None:
        sending, self._sending = self._sending, []
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
        multicast, self._multicast = self._multicast, None
        if multicast is not None:
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await multicast.async_close()
            except (OSError, ZeroconfError) as error:
                logger.debug("no goodbye on mDNS", extra={"fields": {"problem": type(error).__name__}})

    async def _ask(self, multicast: AsyncZeroconf) -> None:
        """Without known answers, so that those whom we know, and may have given up, answer too."""
        for pause_s in chain(FIRST_PAUSES_S, repeat(self._settings.ask_every_s)):
            question = DNSOutgoing(_FLAGS_QR_QUERY)
            question.add_question(DNSQuestion(SERVICE_TYPE, _TYPE_PTR, _CLASS_IN))
            with suppress(OSError, ZeroconfError):  # The next question may get through.
                multicast.zeroconf.async_send(question)
            await asyncio.sleep(pause_s)

    def _hear(self, name: str) -> None:
        if self._multicast is None or node_of_instance(name) in (None, self._advert.node):
            return
        info = AsyncServiceInfo(SERVICE_TYPE, name)
        if not info.load_from_cache(self._multicast.zeroconf):
            return  # The rest comes with the answer to our next question.
        record = ServiceRecord(name, info.port, tuple(info.parsed_scoped_addresses()), info.properties)
        advert = read_service(record, self._advert.node, self._networks)
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


async def _finish(sending: Awaitable[None]) -> None:
    await sending
