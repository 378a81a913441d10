"""Consecutive decoder layers of any family, run by themselves on hidden states.

The layers are transformers' own. What a family's model does around them at each step is done here once for the whole
span: position ids, attention masks by layer type, rotary embeddings. One sequence at a time, or one token each of
several sequences of different lengths.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn
from transformers.masking_utils import create_masks_for_generate

from swarm.domain.nodes import BlockSpan
from swarm.worker.families.caches import (
    CacheRoom,
    LayerShape,
    ManySequences,
    OneSequence,
    SequenceCache,
    batch_order,
)
from swarm.worker.families.masks import MaskRows
from swarm.worker.families.support import CannotBeCut

logger = logging.getLogger(__name__)

TRIAL_LENGTHS = (3, 5)
TRIAL_DIFFERENCE, TRIAL_ROUNDINGS = 1e-5, 4
"""By how much, relative to the largest number, a batch may differ from its rows alone: the larger of the first and of
this many units in the last place of the number format."""


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
        shapes = {index: self._shape_of(index) for index in layers}
        self.cache_bytes_per_token = sum(shape.bytes_per_token for shape in shapes.values())
        self._room = CacheRoom(shapes, self.device)
        self._mask_rows = MaskRows(config, config.hidden_size, self.dtype, self.device)
        self.batches = self._rows_are_independent()
        """Whether `forward_rows` gives what `forward` gives."""

    def new_cache(
        self, span: BlockSpan, max_tokens: int, reserve: Callable[[int], None] = lambda _: None, rows: int = 1
    ) -> SequenceCache:
        """For a sequence (or `rows` of the same length) through the blocks of `span`; to be closed by the caller."""
        return SequenceCache(self._room, span, max_tokens, reserve, rows)

    @torch.inference_mode()
    def forward(self, hidden: torch.Tensor, cache: SequenceCache) -> torch.Tensor:
        """Runs [rows, tokens, hidden] through the blocks of the cache, which is advanced by `tokens`.

        Raises what `SequenceCache.make_room` raises; then nothing has happened."""
        hidden = hidden.to(self.device, self.dtype)
        tokens, past = hidden.shape[1], cache.past
        positions = torch.arange(past, past + tokens, device=self.device).unsqueeze(0)
        with self.keeping():
            cache.make_room(tokens)
            seen = OneSequence(cache)
            masks = create_masks_for_generate(self.config, hidden, None, seen, positions)
            more = self._more(hidden, past + tokens)
            hidden = self._through(cache.span, hidden, masks, positions, seen, more)
            cache.past += tokens
        return hidden

    @torch.inference_mode()
    def forward_rows(self, hidden: torch.Tensor, caches: Sequence[SequenceCache]) -> torch.Tensor:
        """Runs [rows, 1, hidden], a token each of sequences through the same blocks that have a past and `make_room`
        for one more; both within the same `keeping`."""
        order = batch_order(caches)
        back = torch.tensor(sorted(range(len(order)), key=order.__getitem__), device=self.device)
        rows = [caches[at] for at in order]
        hidden = hidden.to(self.device, self.dtype)[order]
        with self.keeping():
            seen = ManySequences(rows, self.device)
            masks = self._mask_rows.at([cache.past for cache in rows], seen.longest)
            positions, more = seen.pasts.unsqueeze(1), self._more(hidden, seen.longest)
            hidden = self._through(rows[0].span, hidden, masks.get(None, masks), positions, seen, more)
            for cache in rows:
                cache.past += 1
        return hidden[back]

    def keeping(self) -> AbstractContextManager[None]:
        """While inside, no other thread runs a step, and a sequence that is closed keeps its room. It may be nested."""
        return self._room.keeping()

    def make_room(self, cache: SequenceCache) -> None:
        """For a token more. Raises what `SequenceCache.make_room` raises."""
        with self.keeping():
            cache.make_room(1)

    def _through(
        self,
        span: BlockSpan,
        hidden: torch.Tensor,
        masks: Any,
        positions: torch.Tensor,
        seen: Any,
        more: dict[str, Any],
    ) -> torch.Tensor:
        rotary = self._rotary_of(hidden, positions)
        for at, index in enumerate(range(span.start, span.end)):
            seen.layer = at
            hidden = self._layer(index, hidden, masks, rotary, positions, seen, more)
        return hidden

    def _layer(
        self,
        index: int,
        hidden: torch.Tensor,
        masks: Any,
        rotary: Any,
        positions: torch.Tensor,
        seen: Any,
        more: dict[str, Any],
    ) -> torch.Tensor:
        kind = self._layer_types[index] if self._layer_types else None
        made = self.layers[index](
            hidden,
            attention_mask=masks[kind] if isinstance(masks, dict) else masks,
            position_ids=positions,
            position_embeddings=rotary[kind] if isinstance(rotary, dict) else rotary,
            use_cache=True,
            **{self._cache_name: seen},
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
        if len(positions) > 1 and self._rotary_looks_at_the_longest:
            each = [self._rotary_of(hidden[at : at + 1], positions[at : at + 1]) for at in range(len(positions))]
            if isinstance(each[0], dict):
                return {kind: _joined([rotary[kind] for rotary in each]) for kind in each[0]}
            return _joined(each)
        if self._rotary_by_type:
            return {kind: self._rotary(hidden, positions, kind) for kind in set(self._layer_types)}
        return self._rotary(hidden, positions)

    @property
    def _rotary_looks_at_the_longest(self) -> bool:
        """Frequencies that change with the length of a sequence are worked out from the longest row of a batch."""
        of = getattr(self._rotary, "rope_type", "")
        kinds = of.values() if isinstance(of, dict) else (of,)
        return any("dynamic" in kind or kind == "longrope" for kind in kinds)

    # -- what is tried at load ----------------------------------------------------------------------------------------

    @torch.inference_mode()
    def _shape_of(self, index: int) -> LayerShape:
        """Runs one token through a layer: what it keeps. `CannotBeCut` where it keeps other state."""
        hidden = torch.zeros(1, 1, self.config.hidden_size, dtype=self.dtype, device=self.device)
        positions, seen = torch.zeros(1, 1, dtype=torch.long, device=self.device), _FirstToken()
        try:
            masks = create_masks_for_generate(self.config, hidden, None, seen, positions)
            rotary, more = self._rotary_of(hidden, positions), self._more(hidden, 1)
            self._layer(index, hidden, masks, rotary, positions, seen, more)
        except AttributeError as error:
            raise CannotBeCut(f"layer {index} asks its cache for more than keys and values ({error})") from error
        except Exception as error:
            raise CannotBeCut(f"layer {index} does not run by itself: {error}") from error
        if len(seen.updates) != 1:
            raise CannotBeCut(f"layer {index} keeps other state than keys and values")
        keys, values = seen.updates[0]
        return LayerShape((keys.shape[1], keys.shape[3]), (values.shape[1], values.shape[3]), keys.dtype)

    def _rows_are_independent(self) -> bool:
        """Tries one layer of each make: two sequences of unequal length as a batch, and each of them alone."""
        makes = {self._make(index): index for index in self.layers}
        return all(self._trial(BlockSpan(index, index + 1)) for index in makes.values())

    def _make(self, index: int) -> tuple[Any, ...]:
        kind = self._layer_types[index] if self._layer_types else None
        return kind, *(type(module) for module in self.layers[index].modules())

    def _trial(self, span: BlockSpan) -> bool:
        source = torch.Generator().manual_seed(span.start)
        pieces = [torch.randn(1, tokens + 1, self.config.hidden_size, generator=source) for tokens in TRIAL_LENGTHS]
        alone, together = ([self.new_cache(span, tokens + 1) for tokens in TRIAL_LENGTHS] for _ in range(2))
        try:
            for piece, *caches in zip(pieces, alone, together, strict=True):
                for cache in caches:
                    self.forward(piece[:, :-1], cache)
            expected = torch.cat([self.forward(p[:, -1:], cache) for p, cache in zip(pieces, alone, strict=True)])
            with self.keeping():
                for cache in together:
                    self.make_room(cache)
                made = self.forward_rows(torch.cat([piece[:, -1:] for piece in pieces]), together)
        except Exception:
            logger.warning("steps of several sequences do not run as one", exc_info=True)
            return False
        finally:
            for cache in (*alone, *together):
                cache.close()
        most = max(TRIAL_DIFFERENCE, TRIAL_ROUNDINGS * torch.finfo(self.dtype).eps)
        return bool((made - expected).abs().max() <= most * expected.abs().max())


class _FirstToken:
    """A cache that is empty and notes what a layer puts into it."""

    is_compileable = False

    def __init__(self) -> None:
        self.updates: list[tuple[torch.Tensor, torch.Tensor]] = []

    def get_seq_length(self, *_: Any) -> int:
        return 0

    def get_query_offset(self, *_: Any) -> int:
        return 0

    def get_mask_sizes(self, query: int | torch.Tensor, *_: Any) -> tuple[int, int]:
        return (query if isinstance(query, int) else query.shape[0]), 0

    def update(self, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor]:
        self.updates.append((keys, values))
        return keys, values


def _joined(parts: Sequence[Any]) -> Any:
    """Tensors of single rows, or tuples of them, as one batch."""
    if isinstance(parts[0], tuple):
        return tuple(torch.cat(each) for each in zip(*parts, strict=True))
    return torch.cat(list(parts))


def _parameters(function: Any) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)
