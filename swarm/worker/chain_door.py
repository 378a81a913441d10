"""The chain as the rest of the worker sees it: safe from any thread; hivemind is imported when it is opened."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from swarm.domain.nodes import BlockSpan, Coverage, ModelInfo
from swarm.wire.worker_commands import LoadModel
from swarm.worker import compat
from swarm.worker.compute.parts import EmbeddingPart, Reader
from swarm.worker.compute.thread import Compute
from swarm.worker.failures import BlocksMissing
from swarm.worker.families.blocks import Blocks
from swarm.worker.families.ends import Ends
from swarm.worker.families.model import LoadedModel
from swarm.worker.placement import Place

if TYPE_CHECKING:
    from swarm.worker.chain.attempts import Runner
    from swarm.worker.chain.checking import Finding
    from swarm.worker.chain.loop import ChainLoop
    from swarm.worker.chain.node import ChainNode
    from swarm.worker.chain.routing import Hop
    from swarm.worker.chain.session import ChainSession

OPEN_S = 60.0
CALL_S = 30.0
CACHE_SHARE = 0.25
"""Of the memory that was free before loading, what others' attention caches may take."""


class ChainDoor:
    """Closed at first. `introduce` and `forget` before it is open are kept for then."""

    def __init__(self, compute: Compute, on_change: Callable[[Coverage], None], on_end: Callable[[], None]) -> None:
        self.compute, self._on_change, self._on_end = compute, on_change, on_end
        self._held = contextlib.ExitStack()
        self._lock = threading.Lock()
        self._loop: ChainLoop | None = None
        self._node: ChainNode | None = None
        self._known: list[str] = []
        self._avoided = frozenset[str]()
        self._repair_s = 0.0

    @property
    def addresses(self) -> tuple[str, ...]:
        return self._node.addresses if self._node else ()

    def open(self, command: LoadModel, model: ModelInfo, capacity: int, *, movable: bool) -> None:
        """Imports Petals and hivemind (4 s), starts libp2p, founds a DHT. Does nothing when it is open.

        `capacity`: the blocks that fit here; `movable`: they may be chosen anew."""
        if self._node is not None:
            return
        compat.prepare()
        from swarm.worker.chain.address import Address
        from swarm.worker.chain.clock import SwarmClock
        from swarm.worker.chain.loop import ChainLoop
        from swarm.worker.chain.node import Role, open_chain_node

        assert command.chain_host is not None
        self._repair_s = command.repair_s
        clock = SwarmClock()
        compat.set_clock(clock.time)
        compat.keep_logging()
        address = Address(command.chain_host, command.chain_port, command.identity_path, command.node)
        loop = self._held.enter_context(ChainLoop())
        manager = open_chain_node(model, address, clock, self._changed, self._on_end)
        node = loop.call(manager.__aenter__(), OPEN_S)
        node.role = Role(capacity, movable)
        self._held.callback(lambda: loop.call(manager.__aexit__(None, None, None), CALL_S))
        with self._lock:
            self._loop, self._node = loop, node
        loop.call(node.avoid(self._avoided), OPEN_S)
        loop.call(node.introduce(self._known), OPEN_S)
        self._changed()

    # -- which blocks -------------------------------------------------------------------------------------------------

    def claim(self, capacity: int) -> BlockSpan:
        """Blocks for a node that has none yet; takes some seconds, until it is known who else is placed now."""
        from swarm.worker.chain.claiming import LONGEST_S, claim

        loop, node = self._opened()
        return loop.call(claim(node, capacity), LONGEST_S + CALL_S)

    def promise(self, span: BlockSpan) -> None:
        """Tells others that these blocks will be served from here, before they are loaded."""
        loop, node = self._opened()
        loop.call(node.promise(span, firm=True), CALL_S)

    def places(self) -> tuple[Place, ...]:
        """All nodes of the model as the planner sees them, this one among them."""
        _, node = self._opened()
        return (node.place(), *(seen.place for seen in node.others()))

    @property
    def server_id(self) -> str:
        return self._opened()[1].server_id

    # -- serving ------------------------------------------------------------------------------------------------------

    def serve(self, blocks: Blocks, span: BlockSpan, free_bytes: int, max_tokens: int) -> None:
        """In place of what was served before; sessions that run keep the blocks that they began with."""
        from swarm.worker.chain.node import Service
        from swarm.worker.chain.speed import measure_block_s

        loop, node = self._opened()
        if node.block_s is None:
            node.block_s = measure_block_s(blocks)
        loop.call(node.serve(Service(self.compute, blocks, span, int(free_bytes * CACHE_SHARE), max_tokens)), CALL_S)
        self._changed()

    def intend(self, span: BlockSpan | None) -> None:
        """Tells others that this node is about to serve other blocks; None: that it stays."""
        loop, node = self._opened()
        loop.call(node.intend(span), CALL_S)

    def pause(self, promised: BlockSpan) -> None:
        """No new session until `serve`; those that run go on."""
        loop, node = self._opened()
        loop.call(node.pause(promised), CALL_S)
        self._changed()

    def move_to(self, host: str) -> None:
        """This machine has another address. Raises whatever libp2p does where it cannot listen there."""
        loop, node = self._opened()
        loop.call(node.move_to(host), OPEN_S)
        with self._lock:
            loop.submit(node.introduce(tuple(self._known)))
        self._changed()

    def session(self, max_tokens: int, is_cancelled: Callable[[], bool]) -> ChainSession:
        """A sequence of at most `max_tokens` tokens, over the blocks of this process and those of other nodes."""
        from swarm.worker.chain.session import ChainSession

        node = self._opened()[1]

        def open_runner(hop: Hop) -> Runner:
            return self._runner(hop, max_tokens)

        return ChainSession(node, open_runner, self._repair_s, is_cancelled)

    def _runner(self, hop: Hop, max_tokens: int) -> Runner:
        from swarm.worker.chain.attempts import HopFailed
        from swarm.worker.chain.runners import OwnBlocks, RemoteBlocks

        loop, node = self._opened()
        if hop.server is not None:
            return RemoteBlocks(loop, node, hop, max_tokens)
        # Those of now, not of when the answer began: this node may have moved to other blocks since.
        service = node.service
        if service is None or not all(index in service.blocks.layers for index in range(hop.span.start, hop.span.end)):
            raise HopFailed("this node serves other blocks now")
        return OwnBlocks(self.compute, service.blocks, hop.span, max_tokens)

    # -- checked peers ------------------------------------------------------------------------------------------------

    def check_peer(
        self, model: LoadedModel, prefer: Sequence[str], without: Sequence[str], is_idle: Callable[[], bool]
    ) -> Finding | None:
        """See `PeerChecker.check`; None also while the chain is closed or this node serves somebody's session."""
        from swarm.worker.chain.checking import PeerChecker, Surroundings

        node = self._node
        if node is None or node.is_serving:
            return None
        ends = Ends(model)

        def embed(ids: Sequence[int]) -> torch.Tensor:
            return EmbeddingPart(ends).run_piece(Reader(), torch.tensor([ids]))

        around = Surroundings(node, self._runner, embed, model.checkpoint.config.vocab_size, is_idle)
        return PeerChecker(around, random.SystemRandom()).check(prefer, without)

    def avoid(self, servers: Sequence[str]) -> None:
        """Replaces those named before."""
        with self._lock:
            self._avoided = frozenset(servers)
            if self._loop and self._node:
                self._loop.submit(self._node.avoid(self._avoided))

    # -- who is there -------------------------------------------------------------------------------------------------

    def introduce(self, addresses: Sequence[str]) -> None:
        with self._lock:
            self._known = [*(known for known in self._known if known not in addresses), *addresses]
            if self._loop and self._node:
                self._loop.submit(self._node.introduce(addresses))

    def forget(self, addresses: Sequence[str]) -> None:
        with self._lock:
            self._known = [known for known in self._known if known not in addresses]
            if self._loop and self._node:
                self._loop.submit(self._node.forget(addresses))

    def suspect(self, addresses: Sequence[str]) -> None:
        if self._node:
            self._node.suspect(addresses)

    def _changed(self) -> None:
        if self._node:
            self._on_change(self._node.coverage)

    def _opened(self) -> tuple[ChainLoop, ChainNode]:
        if self._loop is None or self._node is None:
            raise BlocksMissing("The chain is not open yet; try again in some seconds")
        return self._loop, self._node

    def close(self) -> None:
        self._held.close()
