"""Serving blocks to other nodes: Petals' connection handler over our own blocks, on the chain's loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from types import SimpleNamespace
from typing import Any

import torch
from hivemind.utils.serializer import MSGPackSerializer
from hivemind.utils.tensor_descr import BatchTensorDescriptor
from petals.data_structures import UID_DELIMITER
from petals.server.backend import TransformerBackend
from petals.server.handler import TransformerConnectionHandler

from swarm.domain.nodes import BlockSpan
from swarm.worker.chain import messages
from swarm.worker.chain.cache_budget import SpanCache
from swarm.worker.compute.parts import SpanPart
from swarm.worker.compute.thread import Compute
from swarm.worker.families.blocks import Blocks

logger = logging.getLogger(__name__)

SESSION_S = 3600.0
STEP_S = 300.0
"""How long a session may live, and wait for its next step; then its cache is freed."""
BATCH_LIMIT = 8
"""Sequences in one session; more is refused before anything is allocated."""


class ServedBlock(TransformerBackend):
    """One block as `rpc_info` tells of it. The base's constructor, which builds pools and pipes, is not called."""

    def __init__(self, uid: str, blocks: Blocks, cache: SpanCache) -> None:
        self.name, self.blocks, self.memory_cache = uid, blocks, cache
        self.dtype = blocks.dtype
        schema = (BatchTensorDescriptor(1, 1, blocks.config.hidden_size, dtype=blocks.dtype),)
        self.args_schema, self.outputs_schema = schema, schema
        self.kwargs_schema: dict[str, Any] = {}
        self.cache_bytes_per_token = {blocks.device: max(1, blocks.cache_bytes_per_token // len(blocks.layers))}
        self.inference_schema = (
            (*schema, BatchTensorDescriptor((), dtype=self.dtype), BatchTensorDescriptor((), dtype=torch.int64)),
            self.kwargs_schema,
        )

    def get_info(self) -> dict[str, Any]:
        return {
            "args_schema": self.args_schema,
            "outputs_schema": self.outputs_schema,
            "inference_schema": self.inference_schema,
        }


class BlockHandler(TransformerConnectionHandler):
    """Petals' server side of a session, as coroutines on the chain's loop instead of a forked process.

    `rpc_info` is Petals' own. `rpc_inference` keeps its messages and is written anew, so that what it spends on a step
    is small beside the step, and so that steps of different sessions are joined. The rest is not served: forward and
    backward are free compute for anybody, and pushes are broken in Petals 2.2 (petals #550)."""

    def __init__(self, served: dict[str, ServedBlock], prefix: str, compute: Compute, max_tokens: int) -> None:
        self.module_backends, self.dht_prefix, self._compute = served, prefix, compute
        self.dht = SimpleNamespace(client_mode=False)  # all that the handler asks of it, in rpc_info
        self.inference_max_length = max_tokens
        self._listener_task = asyncio.current_task()  # of a queue between processes, of which there is none

    async def add_p2p_handlers(self, *arguments: Any, **named: Any) -> None:
        p2p = arguments[0]
        await super().add_p2p_handlers(*arguments, **named)
        await p2p.add_binary_stream_handler(self._get_handle_name(None, "rpc_inference"), self._serve)

    @classmethod
    def _collect_rpc_handlers(cls) -> None:
        super()._collect_rpc_handlers()
        cls._rpc_handlers = [handler for handler in cls._rpc_handlers if handler.method_name == "rpc_info"]

    @classmethod
    def _get_handle_name(cls, namespace: str | None, method_name: str) -> str:
        # The base class would register the calls under our own class name, where no client looks.
        return TransformerConnectionHandler._get_handle_name(namespace, method_name)

    async def _serve(self, _stream: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One session, from the stream's begin to its end."""
        with contextlib.closing(writer):
            try:
                async with asyncio.timeout(SESSION_S):
                    await self._session(reader, writer)
            except (EOFError, ConnectionError, TimeoutError):
                logger.debug("a chain session ended")  # the client is gone, or was silent for too long
            except Exception as error:
                logger.warning("a chain session failed", extra={"fields": {"why": str(error)}})
                writer.write(messages.failure(f"{type(error).__name__}: {error}"))

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(STEP_S):
            request = await messages.read_request(reader)
        first, part = self._part_of(request.uid)
        max_tokens, rows = self._agree(request)
        with (
            first.memory_cache.session() as reserve,
            contextlib.closing(part.blocks.new_cache(part.span, max_tokens, reserve, rows)) as cache,
        ):
            while request.tensors:
                hidden, compute_s = _hidden_of(request, rows, part.blocks.config.hidden_size), None
                if hidden.shape[1]:
                    step = self._compute.begin(part, cache, hidden)
                    hidden, compute_s = await asyncio.wrap_future(step), step.compute_s
                writer.write(messages.reply(hidden, compute_s))
                await writer.drain()
                async with asyncio.timeout(STEP_S):
                    request = await messages.read_request(reader)

    def _part_of(self, uids: str) -> tuple[ServedBlock, SpanPart]:
        """The blocks of a session, which go on for it also where others are served meanwhile. Raises `ValueError`."""
        checked: tuple[str, ...] = self._check_uids(uids)
        numbers = [int(uid.rsplit(UID_DELIMITER, 1)[1]) for uid in checked]
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            raise ValueError(f"the blocks of a request must follow each other: {numbers}")
        first: ServedBlock = self.module_backends[checked[0]]
        return first, SpanPart(first.blocks, BlockSpan(numbers[0], numbers[-1] + 1))

    def _agree(self, request: Any) -> tuple[int, int]:
        """Greatest length and number of sequences of a session. Raises `ValueError`."""
        metadata = MSGPackSerializer.loads(request.metadata) if request.metadata else {}
        max_tokens = metadata.get("max_length")
        if not isinstance(max_tokens, int) or not 0 <= max_tokens <= self.inference_max_length:
            raise ValueError(f"max_length is to be 0 to {self.inference_max_length}, not {max_tokens!r}")
        rows = request.tensors[0].size[0] if request.tensors and request.tensors[0].size else 1
        if not 1 <= rows <= BATCH_LIMIT:
            raise ValueError(f"a session may hold 1 to {BATCH_LIMIT} sequences, not {rows}")
        return max_tokens, rows


def _hidden_of(request: Any, rows: int, size: int) -> torch.Tensor:
    if not all(map(messages.is_empty, request.tensors[1:])):
        raise ValueError("deep prompts and reordering of caches (beam search) are not served")
    hidden = messages.tensor_of(request.tensors[0])
    if hidden.dim() != 3 or hidden.shape[0] != rows or hidden.shape[2] != size:
        raise ValueError(f"hidden states have the shape {tuple(hidden.shape)}")
    return hidden
