"""libp2p and the DHT at one address of this machine: opened, closed, and opened again where the machine moved to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from hivemind.dht.node import DHTNode
from hivemind.p2p import P2P

from swarm.worker.chain.address import Address, free_port, set_damaged_identity_aside
from swarm.worker.chain.directory import WORKERS


@dataclass(frozen=True, slots=True)
class Network:
    p2p: P2P
    dht: DHTNode
    address: Address


class Home:
    """The network at the address that this machine has now; an async context manager."""

    def __init__(self, address: Address, on_end: Callable[[], None]) -> None:
        self._address, self._on_end = address, on_end
        self._opened = contextlib.AsyncExitStack()
        self._network: Network | None = None

    async def __aenter__(self) -> Home:
        self._network = await self._opened.enter_async_context(open_network(self._address, self._on_end))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._opened.aclose()

    @property
    def network(self) -> Network:
        """The last one where none is open now: calls over it fail."""
        assert self._network is not None
        return self._network

    async def move_to(self, host: str) -> None:
        """The same identity at another address. Raises whatever libp2p does where it cannot listen there."""
        await self._opened.aclose()
        self._address = replace(self._address, host=host)
        await self.__aenter__()


@contextlib.asynccontextmanager
async def open_network(address: Address, on_end: Callable[[], None]) -> AsyncIterator[Network]:
    """Starts libp2p on the LAN address and founds a DHT.

    `on_end` is told that libp2p's daemon died: nothing can take its place below a running DHT.
    No public peer, relay, NAT mapping or reachability service is ever contacted: hivemind's defaults would use them."""
    address = replace(address, port=free_port(address.host, address.port))
    set_damaged_identity_aside(Path(address.identity_path))
    p2p = await P2P.create(
        host_maddrs=[address.multiaddr()],
        identity_path=address.identity_path,
        auto_nat=False,
        nat_port_map=False,
        use_relay=False,
        use_auto_relay=False,
        use_ipfs=False,
    )
    watching = asyncio.create_task(_tell_end(p2p, on_end), name="chain: libp2p's end")
    try:
        dht = await DHTNode.create(p2p=p2p, num_workers=WORKERS, cache_refresh_before_expiry=0, strict=False)
        try:
            yield Network(p2p, dht, address)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await dht.shutdown()
    finally:
        watching.cancel()
        await p2p.shutdown()


async def _tell_end(p2p: P2P, on_end: Callable[[], None]) -> None:
    await p2p._child.wait()
    on_end()
