"""This node in the DHT: its address, what it serves, what others serve. All coroutines run on the chain's loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from hivemind.p2p import P2P, PeerID
from petals.data_structures import ServerState

from swarm.domain.coverage import coverage_of
from swarm.domain.nodes import BlockSpan, Coverage, ModelInfo
from swarm.worker.chain.address import Address
from swarm.worker.chain.cache_budget import SpanCache
from swarm.worker.chain.clock import SwarmClock
from swarm.worker.chain.contacts import Contacts
from swarm.worker.chain.directory import Directory
from swarm.worker.chain.measures import Measures
from swarm.worker.chain.network import Home
from swarm.worker.chain.others import Others, Seen
from swarm.worker.chain.records import Announcement
from swarm.worker.chain.routing import Offer
from swarm.worker.chain.serving import BlockHandler, ServedBlock
from swarm.worker.chain.trouble import Trouble
from swarm.worker.chain.waiting import Waiting
from swarm.worker.compute.thread import Compute
from swarm.worker.families.blocks import Blocks
from swarm.worker.placement import Place

logger = logging.getLogger(__name__)

ANNOUNCE_EVERY_S = 5.0
REFRESH_EVERY_S = 5.0
REFRESH_WHILE_MISSING_S = 1.0
MEET_EVERY_S = 0.5
"""How often it is looked whether somebody is to be met again."""
PING_EVERY_S, PINGS_AT_ONCE = 5.0, 4
"""How often how many servers are pinged."""


@dataclass(frozen=True, slots=True)
class Role:
    """How much this node could serve, and whether it chooses what."""

    capacity: int
    movable: bool


@dataclass(frozen=True, slots=True)
class Service:
    """What this node serves."""

    compute: Compute
    blocks: Blocks
    span: BlockSpan
    cache_bytes: int
    max_tokens: int


class ChainNode:
    """Blocks that this node offers and sees offered. Built by `open_chain_node`."""

    def __init__(self, home: Home, model: ModelInfo, clock: SwarmClock, on_change: Callable[[], None]) -> None:
        self.model, self._clock, self._on_change = model, clock, on_change
        self._home = home
        self._directory = Directory(home.network.dht, model, clock)
        self.server_id = str(home.network.p2p.peer_id)
        self.role = Role(model.layers, movable=False)
        self.block_s: float | None = None
        """What a token takes in one of this node's blocks, as it measured; None before that."""
        self.service: Service | None = None
        self._promised: tuple[BlockSpan, bool] | None = None
        """What will be served, and whether that is decided."""
        self._intended: BlockSpan | None = None
        self._handler: BlockHandler | None = None
        self._cache: SpanCache | None = None
        self._coverage = coverage_of((), model.layers)
        self._waiting = Waiting()
        self.measures = Measures()
        self._contacts = Contacts(home, clock, self.measures)
        self._others = Others(self.server_id, model.layers, self._contacts, self.measures)
        self._wake = asyncio.Event()

    @property
    def p2p(self) -> P2P:
        return self._home.network.p2p

    @property
    def addresses(self) -> tuple[str, ...]:
        return (f"{self._home.network.address.multiaddr()}/p2p/{self.server_id}",)

    @property
    def layers(self) -> int:
        return self.model.layers

    @property
    def missing(self) -> tuple[BlockSpan, ...]:
        return self._coverage.missing

    @property
    def coverage(self) -> Coverage:
        return self._coverage

    def uid(self, index: int) -> str:
        return self._directory.uid(index)

    @property
    def served(self) -> BlockSpan | None:
        return self.service.span if self.service else None

    def others(self) -> list[Seen]:
        """The other nodes of this model that are not gone."""
        return self._others.seen()

    def place(self) -> Place:
        """This node, as the others see it."""
        link_s = self._others.link_s(self.server_id)
        return self._announcement(ServerState.ONLINE).place(self.server_id, self.layers, link_s)

    @property
    def is_serving(self) -> bool:
        """Somebody's session holds memory here."""
        return self._cache is not None and self._cache.used_bytes > 0

    @property
    def _number_format(self) -> str:
        return str(self.service.blocks.dtype).removeprefix("torch.") if self.service else ""

    def offers(self, without: frozenset[str] = frozenset()) -> list[Offer]:
        """What may be used now: own blocks first, then those of servers that are not gone, avoided or in `without`."""
        unusable = self._others.avoided | without
        return [self.measures.priced(offer) for offer in self.candidates() if offer.server not in unusable]

    def candidates(self) -> list[Offer]:
        """Own blocks, and those of all servers that are not gone; also of those that routes avoid."""
        own = [Offer(None, self.served, block_s=self.block_s, number_format=self._number_format)] if self.served else []
        return own + self._others.offers()

    async def avoid(self, servers: frozenset[str]) -> None:
        """These were found to answer wrongly: no route goes through them, and steps that wait for them give up."""
        for server in servers - self._others.avoided:
            self._waiting.give_up(server)
        self._others.avoided = servers
        self._note_coverage()

    async def promise(self, span: BlockSpan, *, firm: bool) -> None:
        """Announces blocks that are not served yet, so that others who are placed now take different ones."""
        if self._promised != (span, firm):
            self._promised = span, firm
            await self._announce()

    async def serve(self, service: Service) -> None:
        """Opens the calls to others first and announces then, so that nobody comes to a closed door.

        In place of what was served before. Sessions that run keep the blocks that they began with."""
        before, span = self.served, service.span
        self._cache = self._cache or SpanCache(service.cache_bytes)
        uids = [self.uid(index) for index in range(span.start, span.end)]
        served = {uid: ServedBlock(uid, service.blocks, self._cache) for uid in uids}
        if self._handler is None:
            self._handler = BlockHandler(served, self._directory.prefix, service.compute, service.max_tokens)
            await self._handler.add_p2p_handlers(self.p2p)
        self._handler.module_backends = served
        self.service, self._promised, self._intended = service, None, None
        await self._announce(before)
        await self.refresh()

    async def intend(self, span: BlockSpan | None) -> None:
        """Goes on serving what it serves, and says what it will serve instead; None: it stays."""
        if self._intended != span:
            self._intended = span
            await self._announce()

    async def pause(self, promised: BlockSpan) -> None:
        """Takes no new session until `serve`; those that run go on."""
        before = self.served
        if self._handler is not None:
            self._handler.module_backends = {}
        self.service, self._promised = None, (promised, True)
        await self._announce(before)
        await self.refresh()

    async def move_to(self, host: str) -> None:
        """This machine has another address now. Sessions of others end; what is loaded stays, and is served from there.

        Who knew this node at the old address must be introduced again, by their daemons."""
        await self.withdraw()
        await self._home.move_to(host)
        self._directory = Directory(self._home.network.dht, self.model, self._clock)
        if self._handler is not None:
            await self._handler.add_p2p_handlers(self.p2p)
        self._others.hear({})
        await self._announce()
        await self.refresh()

    async def introduce(self, addresses: Sequence[str]) -> None:
        """Merges our DHT with those of other nodes, whenever both were founded. Idempotent.

        Who does not answer is tried again until it is forgotten."""
        if await self._contacts.meet(addresses):
            await self._announce()
            await self.refresh()

    async def forget(self, addresses: Sequence[str]) -> None:
        """The daemon knows that these nodes are gone: before their records expire, and while steps wait for them."""
        for server in self._contacts.forget(addresses):
            self._waiting.give_up(server)
        self._note_coverage()

    def suspect(self, addresses: Sequence[str]) -> None:
        """These nodes missed a probe; from any thread."""
        for text in addresses:
            self.measures.suspect(text.rsplit("/p2p/", 1)[-1], is_suspect=True)

    def waiting_for(self, server: str) -> contextlib.AbstractContextManager[None]:
        """While inside, `forget` of this server cancels the current task."""
        return self._waiting.on(server)

    async def refresh(self) -> None:
        """Reads from the DHT who serves what."""
        self._others.hear(await self._directory.read())
        self._note_coverage()

    def _note_coverage(self) -> None:
        coverage = coverage_of((offer.span for offer in self.offers()), self.layers)
        if coverage != self._coverage:
            is_urgent = coverage.missing != self._coverage.missing
            self._coverage = coverage
            if is_urgent:
                self._wake.set()
            self._on_change()

    async def keep_current(self) -> None:
        """Announces and refreshes for ever."""
        loop = asyncio.get_running_loop()
        announced = loop.time()
        trouble = Trouble(logger, "the DHT did not answer; it is asked again for ever", "the DHT answers again")
        while True:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                pause = REFRESH_WHILE_MISSING_S if self.missing else REFRESH_EVERY_S
                await asyncio.wait_for(self._wake.wait(), pause)
            try:
                if loop.time() - announced >= ANNOUNCE_EVERY_S:
                    await self._announce()
                    announced = loop.time()
                await self.refresh()
                trouble.passed()
            except Exception as error:
                trouble.met(error)
                await asyncio.sleep(1)

    async def keep_meeting(self) -> None:
        """Tries again to meet those who did not answer yet, for ever."""
        while True:
            await asyncio.sleep(MEET_EVERY_S)
            try:
                await self.introduce(self._contacts.to_meet())
            except Exception as error:
                fields = {"problem": f"{type(error).__name__}: {error}"}
                logger.warning("those who were met could not be told what is served here", extra={"fields": fields})

    async def keep_measured(self) -> None:
        """Pings the servers that were not pinged for longest, for ever; one that does not answer stays as it was."""
        while True:
            servers = self.measures.longest_unpinged(self._others.servers, PINGS_AT_ONCE)
            await asyncio.gather(*map(self._ping, servers))
            await asyncio.sleep(PING_EVERY_S)

    async def _ping(self, server: str) -> None:
        with contextlib.suppress(Exception):
            if await self._contacts.ask_time(PeerID.from_base58(server)):
                await self._announce()

    async def withdraw(self) -> None:
        """Tells the DHT that this node serves nothing any more."""
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._directory.declare(self._announcement(ServerState.OFFLINE)), 2)

    async def _announce(self, before: BlockSpan | None = None) -> None:
        """`before`: what was served until now."""
        announcement = self._announcement(ServerState.ONLINE if self.service else ServerState.JOINING)
        await self._directory.declare(announcement, _blocks(before) - _blocks(announcement.span))

    def _announcement(self, state: ServerState) -> Announcement:
        span, firm = (self.served, True) if self._promised is None else self._promised
        block_s = self.block_s
        return Announcement(
            state=state,
            throughput=1.0 / (block_s * len(span)) if block_s and span else 1.0,
            start_block=span.start if span else None,
            end_block=span.end if span else None,
            public_name=self._home.network.address.node,
            torch_dtype=self._number_format or None,
            inference_rps=1.0 / block_s if block_s else None,
            next_pings=self.measures.trips() or None,
            capacity=self.role.capacity,
            movable=self.role.movable,
            firm=firm,
            next_start=self._intended.start if self._intended else None,
            next_end=self._intended.end if self._intended else None,
        )


def _blocks(span: BlockSpan | None) -> frozenset[int]:
    return frozenset(range(span.start, span.end)) if span else frozenset()


@contextlib.asynccontextmanager
async def open_chain_node(
    model: ModelInfo,
    address: Address,
    clock: SwarmClock,
    on_change: Callable[[], None],
    on_end: Callable[[], None],
) -> AsyncIterator[ChainNode]:
    """A node at this address, kept current until left. For `on_end` see `open_network`."""
    async with Home(address, on_end) as home:
        node = ChainNode(home, model, clock, on_change)
        tasks = [
            asyncio.create_task(node.keep_current(), name="chain: announce and refresh"),
            asyncio.create_task(node.keep_meeting(), name="chain: contacts"),
            asyncio.create_task(node.keep_measured(), name="chain: pings"),
        ]
        try:
            yield node
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await node.withdraw()
