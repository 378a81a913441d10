"""Consecutive decoder layers of any family, run by themselves on hidden states.

The layers are transformers' own. What a family's model does around them at each step is done here once for the whole
span: position ids, attention masks by layer type, rotary embeddings.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from transformers.masking_utils import create_masks_for_generate

from swarm.domain.nodes import BlockSpan
from swarm.worker.families.support import CannotBeCut

FIRST_CAPACITY = 256
"""Tokens for which a cache is allocated at first; it doubles as the sequence grows."""


class LayerCache:
    """Keys and values of one layer for one sequence, written in place. A layer takes it for a transformers `Cache`."""

    is_compileable = False

    def __init__(self, max_tokens: int, reserve: Callable[[int], None] = lambda _: None) -> None:
        """`reserve` is told how many bytes more are about to be held; it raises where there are none left."""
        self.max_tokens, self.past, self._reserve = max_tokens, 0, reserve
        self.keys: torch.Tensor | None = None
        self.values: torch.Tensor | None = None
        self.updates = 0

    def get_seq_length(self, *_: Any) -> int:
        return self.past

    def get_query_offset(self, *_: Any) -> int:
        return self.past

    def get_mask_sizes(self, query: int | torch.Tensor, *_: Any) -> tuple[int, int]:
        """Length and offset of the keys that a query of this many tokens sees."""
        tokens = query if isinstance(query, int) else query.shape[0]
        return self.past + tokens, 0

    def update(self, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Adds [batch, heads, tokens, size] after `past`; returns all keys and values up to there."""
        end = self.past + keys.shape[2]
        self.keys, self.values = self._with_room(self.keys, keys, end), self._with_room(self.values, values, end)
        self.keys[:, :, self.past : end] = keys
        self.values[:, :, self.past : end] = values
        self.updates += 1
        return self.keys[:, :, :end], self.values[:, :, :end]

    def _with_room(self, held: torch.Tensor | None, new: torch.Tensor, end: int) -> torch.Tensor:
        if held is not None and end <= held.shape[2]:
            return held
        capacity = min(self.max_tokens, max(end, FIRST_CAPACITY, 0 if held is None else 2 * held.shape[2]))
        shape = (*new.shape[:2], max(capacity, end), new.shape[3])
        self._reserve(math.prod(shape) * new.element_size() - (0 if held is None else held.nbytes))
        room = new.new_empty(shape)
        if held is not None:
            room[:, :, : self.past] = held[:, :, : self.past]
        return room


class Blocks:
    """The decoder layers that this worker holds, by their index in the model."""

    def __init__(self, base: nn.Module, config: Any, layers: dict[int, nn.Module]) -> None:
        self.config, self.layers = config, layers
        self._rotary = getattr(base, "rotary_emb", None)
        self._rotary_by_type = self._rotary is not None and "layer_type" in _parameters(self._rotary.forward)
        self._layer_types: Sequence[str] = getattr(config, "layer_types", None) or ()
        first = next(iter(layers.values()))
        taken = _parameters(first.forward)
        self._cache_name = "past_key_values" if "past_key_values" in taken else "layer_past"
        self._position_bias = getattr(base, "build_alibi_tensor", None)
        self._takes_alibi = "alibi" in taken
        self.device = next(first.parameters()).device
        self.dtype = next(first.parameters()).dtype
        self.cache_bytes_per_token = self._probe()

    def new_cache(self, max_tokens: int) -> LayerCache:
        return LayerCache(max_tokens)

    @torch.inference_mode()
    def forward(self, hidden: torch.Tensor, span: BlockSpan, caches: Sequence[LayerCache]) -> torch.Tensor:
        """Runs [batch, tokens, hidden] through the blocks of `span`; one cache a block, each advanced by `tokens`."""
        hidden = hidden.to(self.device, self.dtype)
        tokens, past = hidden.shape[1], caches[0].past
        positions = torch.arange(past, past + tokens, device=self.device).unsqueeze(0)
        masks = create_masks_for_generate(self.config, hidden, None, caches[0], positions)
        rotary = self._rotary_of(hidden, positions)
        more = self._more(hidden, past + tokens)
        for index, cache in zip(range(span.start, span.end), caches, strict=True):
            hidden = self._layer(index, hidden, masks, rotary, positions, cache, more)
        for cache in caches:
            cache.past += tokens
        return hidden

    def _layer(
        self,
        index: int,
        hidden: torch.Tensor,
        masks: Any,
        rotary: Any,
        positions: torch.Tensor,
        cache: LayerCache,
        more: dict[str, Any],
    ) -> torch.Tensor:
        kind = self._layer_types[index] if self._layer_types else None
        made = self.layers[index](
            hidden,
            attention_mask=masks[kind] if isinstance(masks, dict) else masks,
            position_ids=positions,
            position_embeddings=rotary[kind] if isinstance(rotary, dict) else rotary,
            use_cache=True,
            **{self._cache_name: cache},
            **more,
        )
        result: torch.Tensor = made[0] if isinstance(made, tuple) else made
        return result

    def _more(self, hidden: torch.Tensor, keys: int) -> dict[str, Any]:
        """What the layers of BLOOM and Falcon ask for besides: biases by the position of each of `keys` keys."""
        if not self._takes_alibi:
            return {}
        if self._position_bias is None:
            return {"alibi": None}
        seen = torch.ones(hidden.shape[0], keys, device=hidden.device)
        return {"alibi": self._position_bias(seen, self.config.num_attention_heads, dtype=hidden.dtype)}

    def _rotary_of(self, hidden: torch.Tensor, positions: torch.Tensor) -> Any:
        if self._rotary is None:
            return None
        if self._rotary_by_type:
            return {kind: self._rotary(hidden, positions, kind) for kind in set(self._layer_types)}
        return self._rotary(hidden, positions)

    def _probe(self) -> int:
        """Runs one token through every layer: bytes of cache a token. `CannotBeCut` where a layer keeps other state."""
        sizes = 0
        hidden = torch.zeros(1, 1, self.config.hidden_size, dtype=self.dtype, device=self.device)
        for index in self.layers:
            cache = LayerCache(1)
            try:
                self.forward(hidden, BlockSpan(index, index + 1), [cache])
            except AttributeError as error:
                raise CannotBeCut(f"layer {index} asks its cache for more than keys and values ({error})") from error
            except Exception as error:
                raise CannotBeCut(f"layer {index} does not run by itself: {error}") from error
            if cache.updates != 1 or cache.keys is None or cache.values is None:
                raise CannotBeCut(f"layer {index} keeps other state than keys and values")
            sizes += (cache.keys.numel() + cache.values.numel()) * cache.keys.element_size()
        return sizes


def _parameters(function: Any) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)
