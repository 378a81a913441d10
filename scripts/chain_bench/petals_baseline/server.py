"""A server of Petals 2.2 as it comes, around our blocks: forked connection handlers, task pools, runtime, memory cache.

    cd scripts; python -m chain_bench.petals_baseline.server --model FOLDER --blocks 0:3 [--peer MULTIADDRESS …]

`petals.server.server.Server` itself cannot run on a current stack (it loads by the classes of 2023, and asks the
internet how fast it is), so that what it builds is built here, with the same classes and its defaults. Prints one line
of JSON once it is ready, and ends with its standard input.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import types
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

import torch
from torch import nn
from transformers.masking_utils import create_masks_for_generate

from swarm.domain.nodes import BlockSpan
from swarm.worker import compat
from swarm.worker.families.checkpoint import open_checkpoint
from swarm.worker.families.model import load_model

CACHE_TOKENS = 8192
HANDLERS = 8
MAX_BATCH_TOKENS = 8192
CHUNK_BYTES = 256 * 2**20
UPDATE_S, EXPIRATION_S = 60.0, 120.0
REQUEST_S, SESSION_S, STEP_S, ALLOCATION_S = 180.0, 1800.0, 300.0, 600.0
"""The defaults of `petals.server.server.Server.__init__`."""


class Past:
    """Keys and values of one layer, joined to the new ones at each step: as transformers did in 2023."""

    is_compileable = False

    def __init__(self, keys: torch.Tensor | None, values: torch.Tensor | None) -> None:
        self.keys, self.values = keys, values

    @property
    def tokens(self) -> int:
        return 0 if self.keys is None else self.keys.shape[2]

    def get_seq_length(self, *_: Any) -> int:
        return self.tokens

    def get_query_offset(self, *_: Any) -> int:
        return self.tokens

    def get_mask_sizes(self, query: int | torch.Tensor, *_: Any) -> tuple[int, int]:
        return self.tokens + (query if isinstance(query, int) else query.shape[0]), 0

    def update(self, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor]:
        if self.keys is not None and self.values is not None:
            keys, values = torch.cat([self.keys, keys], dim=2), torch.cat([self.values, values], dim=2)
        self.keys, self.values = keys, values
        return keys, values


class Surroundings:
    """Mask and rotary embedding, made once a step for all blocks of the server: kinder than Petals, which makes them
    in every block."""

    def __init__(self, config: Any, rotary: nn.Module) -> None:
        self._config, self._rotary = config, rotary
        self._for: tuple[int, int] | None = None
        self._made: Any = None

    def of(self, hidden: torch.Tensor, past: Past) -> Any:
        if self._for != (past.tokens, hidden.shape[1]):
            positions = torch.arange(past.tokens, past.tokens + hidden.shape[1]).unsqueeze(0)
            mask = create_masks_for_generate(self._config, hidden, None, past, positions)
            self._made = mask, positions, self._rotary(hidden, positions)
            self._for = past.tokens, hidden.shape[1]
        return self._made


class PetalsBlock(nn.Module):
    """A decoder layer with the signature and the cache shapes that `TransformerBackend` expects of a block."""

    def __init__(self, layer: nn.Module, config: Any, surroundings: Surroundings) -> None:
        super().__init__()
        self.layer, self.num_heads = layer, config.num_attention_heads
        self._shape = config.num_key_value_heads, config.hidden_size // config.num_attention_heads
        self._surroundings = surroundings

    def forward(self, hidden: torch.Tensor, layer_past: Any = None, use_cache: bool = False) -> Any:  # noqa: ARG002
        past = self._unpacked(layer_past, hidden.shape[0])
        mask, positions, rotary = self._surroundings.of(hidden, past)
        made = self.layer(
            hidden, attention_mask=mask, position_ids=positions, position_embeddings=rotary, past_key_values=past
        )
        assert past.keys is not None
        assert past.values is not None
        return made, (past.keys.transpose(2, 3).flatten(0, 1), past.values.flatten(0, 1))

    def _unpacked(self, layer_past: Any, batch: int) -> Past:
        """Petals keeps keys as [batch · heads, size, tokens] and values as [batch · heads, tokens, size]."""
        if layer_past is None or layer_past[0].shape[2] == 0:
            return Past(None, None)
        keys, values = layer_past
        heads, size = self._shape
        return Past(keys.view(batch, heads, size, -1).transpose(2, 3), values.view(batch, heads, -1, size))


def _prepare() -> None:
    """What `petals.server.server` imports beside what the worker needs of Petals; none of it is called here."""
    compat.prepare()
    import transformers.utils

    transformers.utils.get_file_from_repo = None  # gone from transformers; wanted by Petals' own loader
    for way_out in ("speedtest", "requests"):  # for the way to the internet
        sys.modules.setdefault(way_out, types.ModuleType(way_out)).Speedtest = None  # type: ignore[attr-defined]


def serve(model_path: str, span: BlockSpan, prefix: str, peers: list[str]) -> Any:
    """The running container and its DHT."""
    from hivemind import DHT
    from petals.server.server import ModuleContainer

    dht = DHT(
        initial_peers=peers,
        host_maddrs=["/ip4/127.0.0.1/tcp/0"],
        num_workers=6,
        use_relay=False,
        use_auto_relay=False,
        auto_nat=False,
        nat_port_map=False,
        start=True,
    )
    backends, announcer, info = _backends(model_path, span, prefix, dht)
    container = ModuleContainer(
        dht,
        prefix,
        backends,
        dht_announcer=announcer,
        server_info=info,
        inference_max_length=MAX_BATCH_TOKENS,
        num_handlers=HANDLERS,
        update_period=UPDATE_S,
        expiration=EXPIRATION_S,
        request_timeout=REQUEST_S,
        session_timeout=SESSION_S,
        step_timeout=STEP_S,
        prefetch_batches=1,
        sender_threads=1,
        start=True,
    )
    return container, dht


def _backends(model_path: str, span: BlockSpan, prefix: str, dht: Any) -> tuple[Any, Any, Any]:
    from petals.data_structures import ModelInfo, ServerInfo, ServerState
    from petals.server.backend import merge_inference_pools_inplace
    from petals.server.memory_cache import MemoryCache
    from petals.server.server import ModuleAnnouncerThread

    model = load_model(open_checkpoint(model_path, "bench"), span, "cpu", torch.float32)
    assert model.blocks is not None
    config = model.blocks.config
    config.attn_class, config.num_key_value_groups = (
        PetalsBlock,
        config.num_attention_heads // config.num_key_value_heads,
    )
    cache = MemoryCache(CACHE_TOKENS * len(span) * 2 * config.hidden_size * 4, ALLOCATION_S)
    surroundings = Surroundings(config, model.causal.model.rotary_emb)
    backends = {
        f"{prefix}.{index}": _backend(
            f"{prefix}.{index}", PetalsBlock(model.blocks.layers[index], config, surroundings), config, cache
        )
        for index in range(span.start, span.end)
    }
    merge_inference_pools_inplace(backends)
    info = ServerInfo(ServerState.JOINING, throughput=1.0, torch_dtype="float32", quant_type="none", adapters=())
    announcer = ModuleAnnouncerThread(
        list(backends),
        dht,
        info,
        ModelInfo(num_blocks=config.num_hidden_layers),
        block_config=config,
        memory_cache=cache,
        update_period=UPDATE_S,
        expiration=EXPIRATION_S,
        daemon=True,
    )
    announcer.start()
    return backends, announcer, info


def _backend(uid: str, block: PetalsBlock, config: Any, cache: Any) -> Any:
    from hivemind.utils.tensor_descr import BatchTensorDescriptor
    from petals.server.backend import TransformerBackend
    from petals.utils.convert_block import QuantType, convert_block

    device = torch.device("cpu")
    converted = convert_block(block, 0, config, [device], device, QuantType.NONE, freeze=True)
    schema = (BatchTensorDescriptor(1, 2048, config.hidden_size, dtype=torch.float32),)
    return TransformerBackend(
        uid,
        converted,
        config=config,
        memory_cache=cache,
        backend_dtype=torch.float32,
        max_chunk_size_bytes=CHUNK_BYTES,
        args_schema=schema,
        kwargs_schema={},
        outputs_schema=schema,
        min_batch_size=1,
        max_batch_size=MAX_BATCH_TOKENS,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--blocks", required=True)
    parser.add_argument("--prefix", default="petals-as-it-comes")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: as torch chooses")
    parser.add_argument("--peer", action="append", default=[])
    arguments = parser.parse_args()
    _prepare()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    start, _, end = arguments.blocks.partition(":")
    container, dht = serve(arguments.model, BlockSpan(int(start), int(end)), arguments.prefix, arguments.peer)
    print(json.dumps({"addresses": [str(address) for address in dht.get_visible_maddrs()]}), flush=True)
    sys.stdin.read()
    container.shutdown()
    dht.shutdown()
    os._exit(0)  # Petals' threads would hold the process


if __name__ == "__main__":
    main()
