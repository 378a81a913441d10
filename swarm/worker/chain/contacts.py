"""The other nodes that the daemon told of: met over libp2p, so that their DHTs and ours are one, or gone.

All coroutines run on the chain's loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from hivemind.p2p import PeerID
from hivemind.proto import dht_pb2
from hivemind.utils.multiaddr import Multiaddr

from swarm.worker.chain.clock import SwarmClock
from swarm.worker.chain.measures import Measures
from swarm.worker.chain.network import Home

logger = logging.getLogger(__name__)

CONNECT_S, PING_S = 5.0, 2.0
"""How long it may take to reach a node at a new address, and to hear from one that is reached."""


class Contacts:
    """By libp2p address, as the daemon names them: `/ip4/…/tcp/…/p2p/<id>`."""

    def __init__(self, home: Home, clock: SwarmClock, measures: Measures) -> None:
        self._home, self._clock, self._measures = home, clock, measures
        self._met: dict[str, bool] = {}
        """Whether those who are there were met; the others are tried again."""
        self._gone: dict[str, str] = {}
        """By libp2p id, where it was."""

    def is_gone(self, server: str) -> bool:
        """The daemon said so, and no later introduction came true. Its records outlive it."""
        return server in self._gone

    @property
    def unmet(self) -> tuple[str, ...]:
        return tuple(address for address, is_met in self._met.items() if not is_met)

    async def meet(self, addresses: Sequence[str]) -> bool:
        """Merges our DHT with those of these nodes, whenever both were founded. Idempotent; never raises.

        True where one was met: our records should be told to it, and its records be read."""
        self._met.update(dict.fromkeys(addresses, False))
        return any(await asyncio.gather(*map(self._meet, addresses)))

    def forget(self, addresses: Sequence[str]) -> list[str]:
        """These nodes are gone; returns their libp2p ids."""
        servers = [address.rsplit("/p2p/", 1)[-1] for address in addresses]
        for address, server in zip(addresses, servers, strict=True):
            self._met.pop(address, None)
            self._gone[server] = address
        return servers

    async def ask_time(self, server: PeerID) -> bool:
        """Measures the way to a server. True where its clock is ahead of ours, which goes by it from now on."""
        protocol, loop = self._home.network.dht.protocol, asyncio.get_running_loop()
        asked = loop.time()
        reply = await protocol.get_stub(server).rpc_ping(dht_pb2.PingRequest(peer=protocol.node_info), timeout=PING_S)
        self._measures.pinged(str(server), loop.time() - asked)
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
            self._met.pop(address, None)
            return False
        own = self._home.network.p2p.peer_id
        try:
            is_met = server != own and await self._merge(address, server, Multiaddr(address.rsplit("/p2p/", 1)[0]))
        except Exception as error:
            logger.warning("could not meet a node's DHT", extra={"fields": {"address": address, "error": str(error)}})
            if self.is_gone(str(server)):  # What is left of a connection may lead to where nobody is any more.
                await self._disconnect(server)
            return False
        if address not in self._met:  # The daemon lost it meanwhile.
            return False
        self._met[address] = True
        self._gone.pop(str(server), None)
        self._measures.suspect(str(server), is_suspect=False)
        return is_met

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
