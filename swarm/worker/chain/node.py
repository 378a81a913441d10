"""This node in the DHT: its address, what it serves, what others serve. All coroutines run on the chain's loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hivemind.dht.node import DHTNode
from hivemind.p2p import P2P, PeerID
from hivemind.utils.multiaddr import Multiaddr
from hivemind.utils.timed_storage import get_dht_time
from petals.data_structures import ServerInfo, ServerState
from petals.utils.dht import _declare_active_modules, _get_remote_module_infos, compute_spans

from swarm.domain.nodes import BlockSpan, ModelInfo
from swarm.worker.chain.address import Address, free_port, set_damaged_identity_aside
from swarm.worker.chain.cache_budget import SpanCache
from swarm.worker.chain.measures import Measures
from swarm.worker.chain.routing import Offer, missing_blocks
from swarm.worker.chain.serving import BlockHandler, ServedBlock, SpanPool
from swarm.worker.families.blocks import Blocks

logger = logging.getLogger(__name__)

ANNOUNCE_EVERY_S = 5.0
EXPIRES_AFTER_S = 30.0
"""A record must outlive a few lost announcements and a clock that is some seconds off; who is gone is known sooner,
from the daemon's probes (`forget`)."""
REFRESH_EVERY_S = 5.0
REFRESH_WHILE_MISSING_S = 1.0
PING_EVERY_S, PINGS_AT_ONCE, PING_S = 5.0, 4, 2.0
"""How often how many servers are pinged, and how long one may take."""
WORKERS = 32
"""Concurrent DHT requests of one look-up."""


class ChainNode:
    """Blocks that this node offers and sees offered. Built by `open_chain_node`."""

    def __init__(
        self, p2p: P2P, dht: DHTNode, model: ModelInfo, address: Address, on_change: Callable[[], None]
    ) -> None:
        self.p2p, self._dht, self.model, self._address, self._on_change = p2p, dht, model, address, on_change
        self.prefix = f"swarm-{model.digest}"
        self.server_id = str(p2p.peer_id)
        self.served: BlockSpan | None = None
        self._gone: set[str] = set()
        self._unmet: set[str] = set()
        """Addresses that did not answer yet; tried again until they are forgotten."""
        self._offers: tuple[Offer, ...] = ()
        self._missing: tuple[BlockSpan, ...] = (BlockSpan(0, model.layers),)
        self._waiting: dict[str, set[asyncio.Task[Any]]] = {}
        self.measures = Measures()
        self._wake = asyncio.Event()

    @property
    def addresses(self) -> tuple[str, ...]:
        return (f"{self._address.multiaddr()}/p2p/{self.server_id}",)

    @property
    def layers(self) -> int:
        return self.model.layers

    @property
    def missing(self) -> tuple[BlockSpan, ...]:
        return self._missing

    def uid(self, index: int) -> str:
        return f"{self.prefix}.{index}"

    def offers(self, without: frozenset[str] = frozenset()) -> list[Offer]:
        """What may be used now: own blocks first, then those of the servers that are not gone and not in `without`."""
        own = [Offer(None, self.served)] if self.served else []
        others = [offer for offer in self._offers if offer.server not in self._gone | without]
        return [self.measures.priced(offer) for offer in own + others]

    async def serve(self, blocks: Blocks, span: BlockSpan, cache_bytes: int, max_tokens: int) -> None:
        """Opens the calls to others first and announces then, so that nobody comes to a closed door."""
        uids = [self.uid(index) for index in range(span.start, span.end)]
        cache, pool = SpanCache(cache_bytes), SpanPool(blocks, uids[0])
        served = {uid: ServedBlock(uid, blocks, pool, cache) for uid in uids}
        await BlockHandler(served, self.prefix, max_tokens).add_p2p_handlers(self.p2p)
        self.served = span
        await self._announce(ServerState.ONLINE)
        await self.refresh()

    async def introduce(self, addresses: Sequence[str]) -> None:
        """Merges our DHT with those of other nodes, whenever both were founded. Idempotent; never raises."""
        met = await asyncio.gather(*map(self._meet, addresses))
        for address, is_met in zip(addresses, met, strict=True):
            (self._unmet.discard if is_met else self._unmet.add)(address)
        if any(met):
            await self._announce(ServerState.ONLINE)
            await self.refresh()

    async def _meet(self, text: str) -> bool:
        """False where another try may help."""
        try:
            address = Multiaddr(text)
            server = PeerID.from_base58(address["p2p"])
            if str(server) == self.server_id:
                return True
            self._gone.discard(str(server))
            self.measures.suspect(str(server), is_suspect=False)
            await asyncio.wait_for(self.p2p._client.connect(server, [Multiaddr(str(address).rsplit("/p2p/", 1)[0])]), 5)
            # strict=False: clocks that differ by more than 3 s are warned about, not refused.
            await self._dht.protocol.call_ping(server, validate=True, strict=False)
            await self._dht.find_nearest_nodes([self._dht.node_id])
        except (LookupError, ValueError):
            logger.warning("a node's DHT address is not understood", extra={"fields": {"address": text}})
            return True
        except Exception as error:
            logger.warning("could not meet a node's DHT", extra={"fields": {"address": text, "error": str(error)}})
            return False
        return True

    async def forget(self, addresses: Sequence[str]) -> None:
        """The daemon knows that these nodes are gone: before their records expire, and while steps wait for them."""
        for text in addresses:
            server = text.rsplit("/p2p/", 1)[-1]
            self._gone.add(server)
            self._unmet.discard(text)
            for waiting in tuple(self._waiting.get(server, ())):
                waiting.cancel()
        self._note_coverage()

    def suspect(self, addresses: Sequence[str]) -> None:
        """These nodes missed a probe; from any thread."""
        for text in addresses:
            self.measures.suspect(text.rsplit("/p2p/", 1)[-1], is_suspect=True)

    @contextlib.contextmanager
    def waiting_for(self, server: str) -> Any:
        """While inside, `forget` of this server cancels the current task."""
        task = asyncio.current_task()
        assert task is not None
        self._waiting.setdefault(server, set()).add(task)
        try:
            yield
        finally:
            self._waiting[server].discard(task)
            if not self._waiting[server]:
                del self._waiting[server]

    async def refresh(self) -> None:
        """Reads from the DHT who serves what."""
        uids = [self.uid(index) for index in range(self.model.layers)]
        found = await _get_remote_module_infos(self._directory(), self._dht, uids, None, None, True)
        spans = compute_spans(found, min_state=ServerState.ONLINE).values()
        self._offers = tuple(
            Offer(str(span.peer_id), BlockSpan(span.start, span.end), (span.server_info.public_name or "")[:64])
            for span in spans
            if str(span.peer_id) != self.server_id and span.start < span.end
        )
        self.measures.keep_only({offer.server for offer in self._offers if offer.server})
        self._note_coverage()

    def _note_coverage(self) -> None:
        missing = missing_blocks(self.offers(), self.model.layers)
        if missing != self._missing:
            self._missing = missing
            self._wake.set()
            self._on_change()

    async def keep_current(self) -> None:
        """Announces and refreshes for ever."""
        loop = asyncio.get_running_loop()
        announced = loop.time()
        while True:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                pause = REFRESH_WHILE_MISSING_S if self._missing else REFRESH_EVERY_S
                await asyncio.wait_for(self._wake.wait(), pause)
            try:
                if loop.time() - announced >= ANNOUNCE_EVERY_S:
                    await self._announce(ServerState.ONLINE)
                    announced = loop.time()
                    await self.introduce(tuple(self._unmet))
                await self.refresh()
            except Exception:
                logger.warning("the DHT did not answer; trying again", exc_info=True)
                await asyncio.sleep(1)

    async def keep_measured(self) -> None:
        """Pings the servers that were not pinged for longest, for ever; one that does not answer stays as it was."""
        while True:
            servers = [offer.server for offer in self._offers if offer.server and offer.server not in self._gone]
            await asyncio.gather(*map(self._ping, self.measures.longest_unpinged(servers, PINGS_AT_ONCE)))
            await asyncio.sleep(PING_EVERY_S)

    async def _ping(self, server: str) -> None:
        started = time.monotonic()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(PING_S):
                if await self._dht.protocol.call_ping(PeerID.from_base58(server)) is not None:
                    self.measures.pinged(server, time.monotonic() - started)

    async def withdraw(self) -> None:
        """Tells the DHT that this node serves nothing any more."""
        if self.served:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._announce(ServerState.OFFLINE), 2)

    async def _announce(self, state: ServerState) -> None:
        if self.served is None:
            return
        span = self.served
        info = ServerInfo(
            state=state,
            throughput=1.0,
            start_block=span.start,
            end_block=span.end,
            public_name=self._address.node,
        )
        uids = [self.uid(index) for index in range(span.start, span.end)]
        await _declare_active_modules(
            self._directory(), self._dht, uids, info, expiration_time=get_dht_time() + EXPIRES_AFTER_S
        )

    def _directory(self) -> Any:
        """What Petals' functions ask of the `DHT` object that they are given beside the node."""
        return SimpleNamespace(num_workers=WORKERS, peer_id=self.p2p.peer_id)


@contextlib.asynccontextmanager
async def open_chain_node(
    model: ModelInfo, address: Address, on_change: Callable[[], None], on_end: Callable[[], None]
) -> AsyncIterator[ChainNode]:
    """Starts libp2p on the LAN address, founds a DHT, and keeps it current until left.

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
    tasks = [asyncio.create_task(_tell_end(p2p, on_end), name="chain: libp2p's end")]
    try:
        dht = await DHTNode.create(p2p=p2p, num_workers=WORKERS, cache_refresh_before_expiry=0, strict=False)
        node = ChainNode(p2p, dht, model, address, on_change)
        tasks.append(asyncio.create_task(node.keep_current(), name="chain: announce and refresh"))
        tasks.append(asyncio.create_task(node.keep_measured(), name="chain: pings"))
        try:
            yield node
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await node.withdraw()
            await dht.shutdown()
    finally:
        tasks[0].cancel()
        await p2p.shutdown()


async def _tell_end(p2p: P2P, on_end: Callable[[], None]) -> None:
    await p2p._child.wait()
    on_end()
