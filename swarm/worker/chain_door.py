"""The chain as the rest of the worker sees it: safe from any thread; hivemind is imported when it is opened."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from swarm.domain.nodes import BlockSpan, ModelInfo
from swarm.wire.worker_messages import LoadModel
from swarm.worker import compat
from swarm.worker.failures import BlocksMissing
from swarm.worker.families.blocks import Blocks

if TYPE_CHECKING:
    from swarm.worker.chain.attempts import Runner
    from swarm.worker.chain.loop import ChainLoop
    from swarm.worker.chain.node import ChainNode
    from swarm.worker.chain.routing import Hop
    from swarm.worker.chain.session import ChainSession

OPEN_S = 60.0
CALL_S = 30.0
LOOK_AROUND_S = 3.0
"""Before blocks are placed: time for the daemon to introduce the nodes that it has found."""
CACHE_SHARE = 0.25
"""Of the memory that was free before loading, what others' attention caches may take."""


class ChainDoor:
    """Closed at first. `introduce` and `forget` before it is open are kept for then."""

    def __init__(self, on_change: Callable[[tuple[BlockSpan, ...]], None], on_end: Callable[[], None]) -> None:
        self._on_change, self._on_end = on_change, on_end
        self._held = contextlib.ExitStack()
        self._lock = threading.Lock()
        self._loop: ChainLoop | None = None
        self._node: ChainNode | None = None
        self._known: list[str] = []
        self._repair_s = 0.0

    @property
    def addresses(self) -> tuple[str, ...]:
        return self._node.addresses if self._node else ()

    def open(self, command: LoadModel, model: ModelInfo) -> None:
        """Imports Petals and hivemind (4 s), starts libp2p, founds a DHT. Does nothing when it is open."""
        if self._node is not None:
            return
        compat.prepare()
        from swarm.worker.chain.address import Address
        from swarm.worker.chain.loop import ChainLoop
        from swarm.worker.chain.node import open_chain_node

        assert command.chain_host is not None
        self._repair_s = command.repair_s
        address = Address(command.chain_host, command.chain_port, command.identity_path, command.node)
        loop = self._held.enter_context(ChainLoop())
        manager = open_chain_node(model, address, self._changed, self._on_end)
        node = loop.call(manager.__aenter__(), OPEN_S)
        self._held.callback(lambda: loop.call(manager.__aexit__(None, None, None), CALL_S))
        with self._lock:
            self._loop, self._node = loop, node
        loop.call(node.introduce(self._known), OPEN_S)
        self._changed()

    def place(self, count: int) -> BlockSpan:
        """Where `count` blocks help most, after a short look at who is there."""
        from swarm.worker.chain.routing import choose_span

        assert self._loop is not None
        assert self._node is not None
        deadline = time.monotonic() + LOOK_AROUND_S
        while time.monotonic() < deadline and not self._node.offers():
            time.sleep(0.2)
        return choose_span(self._node.offers(), self._node.model.layers, count)

    def serve(self, blocks: Blocks, span: BlockSpan, free_bytes: int, max_tokens: int) -> None:
        if self._loop and self._node:
            cache_bytes = int(free_bytes * CACHE_SHARE)
            self._loop.call(self._node.serve(blocks, span, cache_bytes, max_tokens), CALL_S)
            self._changed()

    def session(self, blocks: Blocks | None, max_tokens: int, is_cancelled: Callable[[], bool]) -> ChainSession:
        """A sequence of at most `max_tokens` tokens, over `blocks` of this process and those of other nodes."""
        from swarm.worker.chain.runners import OwnBlocks, RemoteBlocks
        from swarm.worker.chain.session import ChainSession

        loop, node = self._loop, self._node
        if loop is None or node is None:
            raise BlocksMissing("The chain is not open yet; try again in some seconds")

        def open_runner(hop: Hop) -> Runner:
            if hop.server is None and blocks is not None:
                return OwnBlocks(blocks, hop.span, max_tokens)
            return RemoteBlocks(loop, node, hop, max_tokens)

        return ChainSession(node, open_runner, self._repair_s, is_cancelled)

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
            self._on_change(self._node.missing)

    def close(self) -> None:
        self._held.close()
