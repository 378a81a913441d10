"""zeroconf on the interfaces of this node's addresses, and its way to other ones."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from typing import Self

from zeroconf import Error as ZeroconfError
from zeroconf import IPVersion, RecordUpdateListener, ServiceInfo
from zeroconf._dns import DNSQuestion
from zeroconf._protocol.outgoing import DNSOutgoing
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf
from zeroconf.const import _CLASS_IN, _FLAGS_QR_QUERY, _TYPE_PTR

from swarm.discovery.interfaces import Place
from swarm.discovery.service_record import SERVICE_TYPE, ServiceRecord

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 2.0
"""Three goodbyes take 0.25 s."""


class Multicast:
    """Sends, hears and says goodbye; what is said and believed is decided by its owner, who also closes it."""

    def __init__(self, zeroconf: AsyncZeroconf, places: tuple[Place, ...]) -> None:
        self._zeroconf, self._places = zeroconf, places

    @classmethod
    async def open(cls, places: tuple[Place, ...]) -> Self:
        """Raises `OSError` where none of the interfaces takes multicast."""
        zeroconf = AsyncZeroconf(interfaces=_choice(places), ip_version=_version(places))
        opened = cls(zeroconf, places)
        try:
            await zeroconf.zeroconf.async_wait_for_start()
            if not zeroconf.zeroconf.engine.senders:
                raise OSError(f"the interface of {places[0].host} takes no multicast")
        except BaseException:
            await opened.close()
            raise
        return opened

    async def close(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._zeroconf.async_close()
        except (OSError, ZeroconfError) as error:
            logger.debug("no goodbye on mDNS", extra={"fields": {"problem": type(error).__name__}})

    def listen(self, ear: RecordUpdateListener) -> None:
        self._zeroconf.zeroconf.async_add_listener(ear, None)

    async def register(self, info: ServiceInfo) -> None:
        """Without the 0.75 s of asking whether the name is taken: it comes from a key and is nobody else's."""
        await (await self._zeroconf.async_register_service(info, cooperating_responders=True))

    async def update(self, info: ServiceInfo) -> None:
        await (await self._zeroconf.async_update_service(info))

    async def move(self, places: tuple[Place, ...], info: ServiceInfo) -> None:
        """Announces `info` at the new places; half a second where there are any."""
        # First, because zeroconf announces by itself where it opens a socket, and must not name the old addresses.
        self._zeroconf.zeroconf.registry.async_update(info)
        stayed = tuple(place for place in self._places if place in places)
        if len(stayed) < len(self._places):
            # An interface that was made anew has its address again, and has forgotten its multicast groups.
            await self._zeroconf.async_update_interfaces(_choice(stayed))
        self._places = places
        await self._zeroconf.async_update_interfaces(_choice(places), _version(places))

    def ask(self) -> None:
        """Without known answers, so that those whom we know, and may have given up, answer too."""
        question = DNSOutgoing(_FLAGS_QR_QUERY)
        question.add_question(DNSQuestion(SERVICE_TYPE, _TYPE_PTR, _CLASS_IN))
        with suppress(OSError, ZeroconfError):  # The next question may get through.
            self._zeroconf.zeroconf.async_send(question)

    def read(self, name: str) -> ServiceRecord | None:
        """What has been heard of an instance; None while something is missing."""
        info = AsyncServiceInfo(SERVICE_TYPE, name)
        if not info.load_from_cache(self._zeroconf.zeroconf):
            return None
        return ServiceRecord(name, info.port, tuple(info.parsed_scoped_addresses()), info.properties)


def _choice(places: Iterable[Place]) -> list[str | int | tuple[tuple[str, int, int], int]]:
    """As zeroconf wants it: IPv6 by interface, as a link-local address may be on several."""
    return [place.index if place.is_ipv6 and place.index is not None else place.host for place in places]


def _version(places: Iterable[Place]) -> IPVersion:
    match {place.is_ipv6 for place in places}:
        case families if len(families) == 2:
            return IPVersion.All
        case families:
            return IPVersion.V6Only if True in families else IPVersion.V4Only
