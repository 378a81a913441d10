"""What runs the blocks of a hop: this process, or another node over Petals' session protocol."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import torch
from hivemind.p2p import PeerID
from petals.data_structures import CHAIN_DELIMITER
from petals.server.handler import TransformerConnectionHandler

from swarm.domain.nodes import BlockSpan
from swarm.worker.chain import messages
from swarm.worker.chain.loop import ChainLoop
from swarm.worker.chain.node import ChainNode
from swarm.worker.chain.routing import Hop
from swarm.worker.compute.parts import SpanPart
from swarm.worker.compute.step import Step
from swarm.worker.compute.thread import Compute
from swarm.worker.families.blocks import Blocks

CONNECT_S = 3.0
INFERENCE_CALL = TransformerConnectionHandler._get_handle_name(None, "rpc_inference")


class OwnBlocks:
    """Blocks of this process, whose steps are joined with those of other sequences."""

    def __init__(self, compute: Compute, blocks: Blocks, span: BlockSpan, max_tokens: int) -> None:
        self._compute, self._part = compute, SpanPart(blocks, span)
        self._cache = blocks.new_cache(span, max_tokens)

    def begin(self, hidden: torch.Tensor) -> Step:
        return self._compute.begin(self._part, self._cache, hidden)

    def close(self) -> None:
        self._cache.close()


class RemoteBlocks:
    """Blocks of another node, over a stream of Petals' `rpc_inference`. The private parts run on the chain's loop."""

    def __init__(self, loop: ChainLoop, node: ChainNode, hop: Hop, max_tokens: int) -> None:
        assert hop.server is not None
        self._loop, self._node, self._server, self._max_tokens = loop.loop, node, hop.server, max_tokens
        self._uids = CHAIN_DELIMITER.join(node.uid(index) for index in range(hop.span.start, hop.span.end))
        self._is_open = False
        self._stream: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._pending: Step | None = None

    def begin(self, hidden: torch.Tensor) -> Step:
        step = Step()
        if self._is_open:
            self._on_loop(self._send, messages.request(hidden), step)
        else:
            self._is_open = True
            self._on_loop(self._open, messages.first_request(self._uids, self._max_tokens, hidden), step)
        return step

    def close(self) -> None:
        """Ends the stream, at which the server frees its cache; does not wait for it."""
        self._on_loop(self._end)

    def _on_loop(self, call: Callable[..., None], *arguments: object) -> None:
        self._loop.call_soon_threadsafe(call, *arguments)

    def _open(self, frame: bytes, step: Step) -> None:
        if step.set_running_or_notify_cancel():
            self._pending = step
            self._stream = self._loop.create_task(self._run(frame), name="chain: a hop")

    def _send(self, frame: bytes, step: Step) -> None:
        if not step.set_running_or_notify_cancel():
            return
        if self._writer is None or self._writer.is_closing():
            step.set_exception(ConnectionError("the stream has ended"))
            return
        self._pending = step
        self._writer.write(frame)

    def _end(self) -> None:
        if self._stream:
            self._stream.cancel()

    async def _run(self, frame: bytes) -> None:
        """Opens the stream and hands out its replies until it ends, or `forget` of the server cancels this."""
        error: BaseException = ConnectionError("the stream has ended")
        try:
            with self._node.waiting_for(self._server), contextlib.closing(await self._connect()) as writer:
                self._writer = writer
                writer.write(frame)
                while True:
                    self._answer(*await messages.read_reply(self._reader))
        except (Exception, asyncio.CancelledError) as raised:
            error = raised
        finally:
            if self._pending:
                self._pending.set_exception(ConnectionError(f"{type(error).__name__}: {error}"))

    async def _connect(self) -> asyncio.StreamWriter:
        call = self._node.p2p.call_binary_stream_handler(PeerID.from_base58(self._server), INFERENCE_CALL)
        _, self._reader, writer = await asyncio.wait_for(call, CONNECT_S)
        return writer

    def _answer(self, made: torch.Tensor, compute_s: float | None) -> None:
        answered, self._pending = self._pending, None
        if answered is None:
            raise ValueError("a reply came that nobody asked for")
        answered.compute_s = compute_s
        answered.set_result(made)
