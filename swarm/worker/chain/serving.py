"""Serving blocks to other nodes: Petals' connection handler over our own blocks, on the chain's loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from hivemind.utils.tensor_descr import BatchTensorDescriptor
from petals.data_structures import UID_DELIMITER, InferenceMetadata
from petals.server.backend import TransformerBackend
from petals.server.handler import TransformerConnectionHandler
from petals.server.task_prioritizer import DummyTaskPrioritizer
from petals.utils.convert_block import QuantType
from petals.utils.misc import is_dummy

from swarm.domain.nodes import BlockSpan
from swarm.worker.chain.cache_budget import SpanCache
from swarm.worker.families.blocks import Blocks, LayerCache

logger = logging.getLogger(__name__)

SESSION_S = 3600.0
STEP_S = 300.0
"""How long a session may live, and wait for its next step; then its cache is freed."""
BATCH_LIMIT = 8
"""Sequences in one session; more is refused before anything is allocated."""
SERVED_CALLS = frozenset({"rpc_inference", "rpc_info"})
"""Forward and backward are free compute for anybody, and pushes are broken in Petals 2.2 (petals #550)."""


class SpanPool:
    """Runs steps one after another in one compute thread; takes the place of Petals' task pools and runtime."""

    def __init__(self, blocks: Blocks, first_uid: str) -> None:
        self._blocks = blocks
        self._prefix = first_uid.rsplit(UID_DELIMITER, 1)[0]
        self._thread = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="blocks")

    def submit_task(
        self,
        hidden: torch.Tensor,
        hypothesis_ids: torch.Tensor,
        infos: Sequence[InferenceMetadata],
        *_prompts: Any,
        priority: float = 0.0,  # noqa: ARG002  (Petals passes it; steps are served in order of arrival)
    ) -> asyncio.Future[tuple[torch.Tensor]]:
        """One step through the blocks of `infos`, which follow each other. What Petals calls an inference pool."""
        if not is_dummy(hypothesis_ids):
            raise ValueError("reordering of caches (beam search) is not served")
        return asyncio.get_running_loop().run_in_executor(self._thread, self._step, hidden, infos)

    def _step(self, hidden: torch.Tensor, infos: Sequence[InferenceMetadata]) -> tuple[torch.Tensor]:
        caches: list[LayerCache] = [info.cache_handles[0] for info in infos]
        start = int(infos[0].uid.rsplit(UID_DELIMITER, 1)[1])
        if any(cache.past != info.prefix_length for cache, info in zip(caches, infos, strict=True)):
            raise ValueError("the session and its cache are at different positions")
        return (self._blocks.forward(hidden, BlockSpan(start, start + len(infos)), caches).cpu(),)


class ServedBlock(TransformerBackend):
    """One block as Petals' handler sees it. The base's constructor, which builds pools and pipes, is not called."""

    def __init__(self, uid: str, blocks: Blocks, pool: SpanPool, cache: SpanCache) -> None:
        self.name, self.inference_pool, self.memory_cache = uid, pool, cache
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
    """Petals' server side of a session, as coroutines on the chain's loop instead of a forked process."""

    def __init__(self, blocks: dict[str, ServedBlock], prefix: str, max_tokens: int) -> None:
        self.module_backends, self.dht_prefix = blocks, prefix
        self.adapters: tuple[str, ...] = ()
        self.dht = SimpleNamespace(client_mode=False)  # all that the handler asks of it, in rpc_info
        self.inference_max_length = max_tokens
        self.request_timeout, self.session_timeout, self.step_timeout = STEP_S, SESSION_S, STEP_S
        self.quant_type = QuantType.NONE
        self._prioritizer = DummyTaskPrioritizer()
        self._handler_index, self._handler_event_queues = 0, [None]
        self._session_queues: dict[str, asyncio.Queue[Any]] = {}
        self._session_handlers: dict[str, int] = {}
        self._listener_task = asyncio.current_task()  # of a queue between processes, of which there is none

    @classmethod
    def _collect_rpc_handlers(cls) -> None:
        super()._collect_rpc_handlers()
        cls._rpc_handlers = [handler for handler in cls._rpc_handlers if handler.method_name in SERVED_CALLS]

    @classmethod
    def _get_handle_name(cls, namespace: str | None, method_name: str) -> str:
        # The base class would register the calls under our own class name, where no client looks.
        return TransformerConnectionHandler._get_handle_name(namespace, method_name)

    def _check_uids(self, uids: str) -> tuple[str, ...]:
        checked: tuple[str, ...] = super()._check_uids(uids)
        numbers = [int(uid.rsplit(UID_DELIMITER, 1)[1]) for uid in checked]
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            raise ValueError(f"the blocks of a request must follow each other: {numbers}")
        return checked

    @contextlib.asynccontextmanager
    async def _allocate_cache(
        self,
        backends: Sequence[ServedBlock],
        *,
        batch_size: int,
        max_length: int,
        timeout: float | None,  # noqa: ARG002  (a full cache is told at once; the client takes another route)
    ) -> AsyncIterator[list[tuple[LayerCache]]]:
        if not 1 <= batch_size <= BATCH_LIMIT:
            raise ValueError(f"a session may hold 1 to {BATCH_LIMIT} sequences, not {batch_size}")
        with backends[0].memory_cache.session() as reserve:
            yield [(LayerCache(max_length, reserve),) for _ in backends]

    def _log_request(self, method: str, *_: Any, **__: Any) -> None:
        logger.debug("chain call", extra={"fields": {"method": method}})
