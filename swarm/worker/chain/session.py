"""One sequence through all blocks of a model, over several nodes, that goes on when a node dies.

Each hop keeps on this side what it was fed. When a hop fails, its blocks are given to other nodes, which are fed the
same again; the hops around it keep their caches. (Petals' own session cannot do this: petals #587.)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Protocol

import torch
from hivemind.compression import deserialize_torch_tensor, serialize_torch_tensor
from hivemind.p2p import PeerID
from hivemind.proto import runtime_pb2
from hivemind.utils.serializer import MSGPackSerializer
from petals.data_structures import CHAIN_DELIMITER
from petals.server.handler import TransformerConnectionHandler
from petals.utils.misc import DUMMY, DUMMY_INT64

from swarm.domain.nodes import BlockSpan
from swarm.worker.chain.loop import ChainLoop
from swarm.worker.chain.node import ChainNode
from swarm.worker.chain.routing import Hop, choose_route
from swarm.worker.failures import BlocksMissing
from swarm.worker.families.blocks import Blocks

logger = logging.getLogger(__name__)

CHUNK_TOKENS = 512
"""A longer prompt is sent in pieces: a server refuses more than some thousand tokens in one step."""
CONNECT_S = 3.0
STEP_S = 5.0
PREFILL_S_PER_TOKEN = 0.25
"""Added to the time limit of a step for each token: a long prompt on a slow CPU is not a dead server."""
SEARCH_EVERY_S = 0.5
REPAIR_S = 8.0
"""How long a session looks for other nodes when one is lost; within 10 s the caller must know."""


class Runner(Protocol):
    """Runs the blocks of one hop for one sequence."""

    def step(self, hidden: torch.Tensor) -> torch.Tensor: ...

    def close(self) -> None: ...


class HopFailed(Exception):
    """The server of a hop did not answer, or answered nonsense."""


class OwnBlocks:
    """Blocks of this process, called directly."""

    def __init__(self, blocks: Blocks, span: BlockSpan, max_tokens: int) -> None:
        self._blocks, self._span = blocks, span
        self._caches = [blocks.new_cache(max_tokens) for _ in range(len(span))]

    def step(self, hidden: torch.Tensor) -> torch.Tensor:
        return self._blocks.forward(hidden, self._span, self._caches).cpu()

    def close(self) -> None:
        self._caches.clear()


class RemoteBlocks:
    """Blocks of another node, over Petals' `rpc_inference`."""

    def __init__(self, loop: ChainLoop, node: ChainNode, hop: Hop, max_tokens: int) -> None:
        assert hop.server is not None
        self._loop, self._node, self._server = loop, node, hop.server
        self._uid = CHAIN_DELIMITER.join(node.uid(index) for index in range(hop.span.start, hop.span.end))
        self._metadata = {"max_length": max_tokens, "session_id": uuid.uuid4().hex}
        self._requests: asyncio.Queue[Any] = asyncio.Queue()
        self._replies: AsyncIterator[Any] | None = None

    def step(self, hidden: torch.Tensor) -> torch.Tensor:
        limit = STEP_S + PREFILL_S_PER_TOKEN * hidden.shape[1]
        try:
            made = self._loop.call(self._step(hidden), limit)
        except (Exception, asyncio.CancelledError) as error:
            raise HopFailed(f"{type(error).__name__}: {error}") from error
        if made.shape != hidden.shape or not torch.isfinite(made).all():
            raise HopFailed("the answer has another shape or is not finite")
        return made

    async def _step(self, hidden: torch.Tensor) -> torch.Tensor:
        with self._node.waiting_for(self._server):
            replies = self._replies = self._replies or await self._connect()
            await self._requests.put(self._request(hidden))
            reply = await anext(replies)
        made: torch.Tensor = deserialize_torch_tensor(reply.tensors[0])
        return made

    async def _connect(self) -> AsyncIterator[Any]:
        stub = TransformerConnectionHandler.get_stub(self._node.p2p, PeerID.from_base58(self._server))
        replies: AsyncIterator[Any] = await asyncio.wait_for(stub.rpc_inference(self._sent()), CONNECT_S)
        return replies

    def _request(self, hidden: torch.Tensor) -> Any:
        metadata = {**self._metadata, "step_id": uuid.uuid4().hex}
        return runtime_pb2.ExpertRequest(
            uid=self._uid,
            tensors=[serialize_torch_tensor(tensor) for tensor in (hidden, DUMMY, DUMMY_INT64)],
            metadata=MSGPackSerializer.dumps(metadata),
        )

    async def _sent(self) -> AsyncIterator[Any]:
        while (request := await self._requests.get()) is not None:
            yield request

    def close(self) -> None:
        """Ends the stream, at which the server frees its cache; does not wait for it."""
        self._loop.submit(self._close())

    async def _close(self) -> None:
        await self._requests.put(runtime_pb2.ExpertRequest())  # Petals' word for the end of a session
        await self._requests.put(None)
        with contextlib.suppress(Exception):
            while self._replies is not None:
                await asyncio.wait_for(anext(self._replies), CONNECT_S)


class _Leg:
    """A hop with its runner and all that it was fed, as [1, tokens, hidden] pieces."""

    def __init__(self, hop: Hop, runner: Runner) -> None:
        self.hop, self.runner = hop, runner
        self.fed: list[torch.Tensor] = []

    def step(self, hidden: torch.Tensor) -> torch.Tensor:
        made = torch.cat([self.runner.step(piece) for piece in hidden.split(CHUNK_TOKENS, dim=1)], dim=1)
        self.fed.append(hidden)
        return made


class ChainSession:
    """A sequence of at most `max_tokens` tokens; a context manager, used by one thread."""

    def __init__(self, loop: ChainLoop, node: ChainNode, blocks: Blocks | None, max_tokens: int) -> None:
        self._loop, self._node, self._blocks, self._max_tokens = loop, node, blocks, max_tokens
        self._legs: list[_Leg] = []
        self._failed: set[str] = set()

    def __enter__(self) -> ChainSession:
        self._legs = self._open(BlockSpan(0, self._node.model.layers))
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for leg in self._legs:
            leg.runner.close()

    @property
    def servers(self) -> tuple[str, ...]:
        """The other nodes on the route, in order."""
        return tuple(leg.hop.server for leg in self._legs if leg.hop.server)

    def step(self, hidden: torch.Tensor) -> torch.Tensor:
        """[1, tokens, hidden] after the embedding to the same before the last norm. Raises `BlocksMissing`.

        A leg that is new gets the whole past; one that is not gets this step's tokens only."""
        hidden, tokens, index = hidden.cpu(), hidden.shape[1], 0
        give_up = time.monotonic() + REPAIR_S
        while index < len(self._legs):
            leg = self._legs[index]
            piece = hidden[:, -tokens:] if leg.fed else hidden
            try:
                hidden = leg.step(piece)
                index += 1
            except HopFailed as error:
                hidden = torch.cat([*leg.fed, piece], dim=1)
                self._replace(index, str(error), give_up)
        return hidden[:, -tokens:]

    def _open(self, span: BlockSpan) -> list[_Leg]:
        route = choose_route(self._node.offers(frozenset(self._failed)), span)
        if route is None:
            raise BlocksMissing(_lacking(self._node.missing or (span,)))
        return [_Leg(hop, self._runner(hop)) for hop in route]

    def _runner(self, hop: Hop) -> Runner:
        if hop.server is None:
            assert self._blocks is not None
            return OwnBlocks(self._blocks, hop.span, self._max_tokens)
        return RemoteBlocks(self._loop, self._node, hop, self._max_tokens)

    def _replace(self, index: int, why: str, give_up: float) -> None:
        """Puts new legs in place of a failed one. Raises `BlocksMissing` where none is found until `give_up`."""
        lost = self._legs[index]
        lost.runner.close()
        logger.warning(
            "a hop failed; looking for another", extra={"fields": {"blocks": str(lost.hop.span), "why": why}}
        )
        if lost.hop.server:
            self._failed.add(lost.hop.server)
        while True:
            try:
                self._legs[index : index + 1] = self._open(lost.hop.span)
                return
            except BlocksMissing:
                if time.monotonic() >= give_up:
                    raise
                time.sleep(SEARCH_EVERY_S)
                self._failed.clear()  # the lost one may have come back


def _lacking(missing: tuple[BlockSpan, ...]) -> str:
    spans = ", ".join(map(str, missing))
    return f"Blocks {spans} are served by no node; start one more node with --blocks {missing[0]}"
