"""The other nodes that the daemon told of: met over libp2p, so that their DHTs and ours are one, or gone.

All coroutines run on the chain's loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hivemind.p2p import PeerID
from hivemind.proto import dht_pb2
from hivemind.utils.multiaddr import Multiaddr

from swarm.worker.chain.clock import SwarmClock
from swarm.worker.chain.measures import Measures
from swarm.worker.chain.network import Home

logger = logging.getLogger(__name__)

CONNECT_S, PING_S = 5.0, 2.0
"""How long it may take to reach a node at a new address, and to hear from one that is reached."""
TRIAL_S = 20.0
"""So long nobody else tries to meet a node that is being met."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 30.0
"""Before who did not answer is tried again; doubled each time."""


@dataclass(slots=True)
class _Contact:
    """A node that is there, as the daemon says."""

    is_met: bool = False
    pause_s: float = FIRST_PAUSE_S
    try_at: float = 0.0


class Contacts:
    """By libp2p address, as the daemon names them: `/ip4/…/tcp/…/p2p/<id>`."""

    def __init__(
        self, home: Home, clock: SwarmClock, measures: Measures, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._home, self._clock, self._measures, self._now = home, clock, measures, now
        self._contacts: dict[str, _Contact] = {}
        self._gone: dict[str, str] = {}
        """By libp2p id, where it was."""

    def is_gone(self, server: str) -> bool:
        """The daemon said so, and no later introduction came true. Its records outlive it."""
        return server in self._gone

    def to_meet(self) -> tuple[str, ...]:
        """Those who did not answer, where it is time to try again."""
        now = self._now()
        return tuple(
            address for address, contact in self._contacts.items() if not contact.is_met and now >= contact.try_at
        )

    async def meet(self, addresses: Sequence[str]) -> bool:
        """Merges our DHT with those of these nodes, whenever both were founded. Idempotent; never raises.

        True where one was met: our records should be told to it, and its records be read."""
        for address in addresses:
            contact = self._contacts.setdefault(address, _Contact())
            contact.is_met, contact.try_at = False, self._now() + TRIAL_S
        return any(await asyncio.gather(*map(self._meet, addresses)))

    def forget(self, addresses: Sequence[str]) -> list[str]:
        """These nodes are gone; returns their libp2p ids."""
        servers = [address.rsplit("/p2p/", 1)[-1] for address in addresses]
        for address, server in zip(addresses, servers, strict=True):
            self._contacts.pop(address, None)
            self._gone[server] = address
        return servers

    async def ask_time(self, server: PeerID) -> bool:
        """Measures the way to a server. True where its clock is ahead of ours, which goes by it from now on."""
        protocol, asked = self._home.network.dht.protocol, self._now()
        reply = await protocol.get_stub(server).rpc_ping(dht_pb2.PingRequest(peer=protocol.node_info), timeout=PING_S)
        self._measures.pinged(str(server), self._now() - asked)
        if not self._clock.hear(reply.dht_time):
            return False
        logger.info("the chain's clock is ahead of ours", extra={"fields": {"ahead_s": round(self._clock.ahead_s)}})
        return True

    async def _meet(self, address: str) -> bool:
        try:
            parsed = Multiaddr(address)
            server = PeerID.from_base58(parsed["p2p"])
        except (LookupError, ValueError):
            logger.warning("a node's DHT address is not understood", extra={"fields": {"address": address}})
            self._contacts.pop(address, None)
            return False
        own = self._home.network.p2p.peer_id
        try:
            is_met = server != own and await self._merge(address, server, Multiaddr(address.rsplit("/p2p/", 1)[0]))
        except Exception as error:
            self._put_off(address, error)
            if self.is_gone(str(server)):  # What is left of a connection may lead to where nobody is any more.
                await self._disconnect(server)
            return False
        if (contact := self._contacts.get(address)) is None:  # The daemon lost it meanwhile.
            return False
        contact.is_met, contact.pause_s = True, FIRST_PAUSE_S
        self._gone.pop(str(server), None)
        self._measures.suspect(str(server), is_suspect=False)
        return is_met

    def _put_off(self, address: str, error: Exception) -> None:
        if contact := self._contacts.get(address):
            level = logging.WARNING if contact.pause_s == FIRST_PAUSE_S else logging.DEBUG
            fields = {"address": address, "error": f"{type(error).__name__}: {error}"}
            logger.log(level, "could not meet a node's DHT; it is tried again", extra={"fields": fields})
            contact.try_at = self._now() + contact.pause_s
            contact.pause_s = min(LONGEST_PAUSE_S, 2 * contact.pause_s)

    async def _merge(self, address: str, server: PeerID, place: Multiaddr) -> bool:
        network = self._home.network
        if self._gone.get(str(server), address) != address:
            # It moved: libp2p would go on using what it has of a connection to where it was.
            await self._disconnect(server)
        await asyncio.wait_for(network.p2p._client.connect(server, [place]), CONNECT_S)
        await self.ask_time(server)
        # strict=False: the clocks agree now as far as a ping can tell; a doubt is no reason to refuse.
        await network.dht.protocol.call_ping(server, validate=True, strict=False)
        await network.dht.find_nearest_nodes([network.dht.node_id])
        return True

    async def _disconnect(self, server: PeerID) -> None:
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._home.network.p2p._client.disconnect(server), CONNECT_S)
