"""What runs the blocks of a hop: this process, or another node over Petals' session protocol."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import Future
from typing import Any

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
from swarm.worker.chain.routing import Hop
from swarm.worker.families.blocks import Blocks

CONNECT_S = 3.0


class OwnBlocks:
    """Blocks of this process, called directly."""

    def __init__(self, blocks: Blocks, span: BlockSpan, max_tokens: int) -> None:
        self._blocks, self._span = blocks, span
        self._caches = [blocks.new_cache(max_tokens) for _ in range(len(span))]

    def begin(self, hidden: torch.Tensor) -> Future[torch.Tensor]:
        done: Future[torch.Tensor] = Future()
        done.set_result(self._blocks.forward(hidden, self._span, self._caches).cpu())
        return done

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

    def begin(self, hidden: torch.Tensor) -> Future[torch.Tensor]:
        return self._loop.submit(self._step(hidden))

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
