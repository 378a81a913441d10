"""The check at loading: our blocks beside the family's own loop over the same layers, on the weights that are here."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from swarm.domain.nodes import BlockSpan
from swarm.worker.families.blocks import Blocks
from swarm.worker.families.layout import Layout, RemoteLayer, base_of, ends_forward, with_layers
from swarm.worker.families.support import CannotBeCut

PIECES = (6, 2, 1)
"""Tokens of our steps; the family gets them all at once, without a cache."""
WINDOW = 4
"""Sliding windows and chunks are made this short for the check, so that a few tokens show what they do."""
NUMBERS = ("idx", "index", "layer_id")
"""Parts of the names under which modules keep the number of their layer."""
KINDS = 8
"""Layers compared at most: one of each kind."""
LARGEST_DIFFERENCE = 2e-3
"""Of a token's change by a layer, in float32; a wrong mask or position makes more than a hundredth."""
LARGEST_ROUGH_DIFFERENCE = 0.15
"""The same in shorter formats, for the median token: a mixture of experts may choose otherwise for some tokens."""


@torch.inference_mode()
def compare_with_family(causal: Any, layout: Layout, blocks: Blocks) -> None:
    """Raises `CannotBeCut` where a block gives something else than its layer in the family's own model."""
    chosen = _one_of_each_kind(blocks)
    with _short_windows(causal, layout.path, blocks) as shown:
        try:
            seen = _family_run(shown, layout, {index: blocks.layers[index] for index in chosen}, sum(PIECES))
        except Exception as error:  # families fail in as many ways as there are
            raise CannotBeCut(f"its model does not run with some of its layers left out: {error}") from error
        for index in chosen:
            given, expected = seen[index]
            differs = _difference(given, expected, _our_run(blocks, index, given))
            if not differs <= (LARGEST_DIFFERENCE if blocks.dtype == torch.float32 else LARGEST_ROUGH_DIFFERENCE):
                raise CannotBeCut(f"layer {index} by itself differs by {differs:.0%} from what the whole model does")


def _difference(given: torch.Tensor, expected: torch.Tensor, made: torch.Tensor) -> float:
    """Relative to what the layer changes: of the worst token in float32, of the median token in shorter formats."""
    change = (expected - given).float().norm(dim=-1).clamp_min(1e-6)
    by_token = (made - expected).float().norm(dim=-1) / change
    return float(by_token.max() if made.dtype == torch.float32 else by_token.median())


def _one_of_each_kind(blocks: Blocks) -> list[int]:
    first_of: dict[str, int] = {}
    for index, layer in blocks.layers.items():
        first_of.setdefault(_kind(blocks, index, layer), index)
    return sorted(first_of.values())[:KINDS]


def _kind(blocks: Blocks, index: int, layer: nn.Module) -> str:
    """Layers of one kind are built alike: the same modules with the same plain settings, but for their number."""
    types = getattr(blocks.config, "layer_types", None)
    modules = [(name, type(module).__name__, *_settings(module)) for name, module in layer.named_modules()]
    return repr((types[index] if types else None, modules))


def _settings(module: nn.Module) -> list[tuple[str, Any]]:
    return sorted(
        (name, value)
        for name, value in vars(module).items()
        if isinstance(value, bool | int | float | str) and not any(word in name for word in NUMBERS)
    )


@contextlib.contextmanager
def _short_windows(causal: Any, path: Sequence[str], blocks: Blocks) -> Iterator[Any]:
    """The model, and our blocks, with short windows; only masks ask the config for them at each step."""
    config = copy.deepcopy(blocks.config)
    for name in ("sliding_window", "attention_chunk_size"):
        if (getattr(config, name, None) or 0) > WINDOW:
            setattr(config, name, WINDOW)
    shown = with_layers(causal, path, [])
    base_of(shown, path).config = config
    before, blocks.config = blocks.config, config
    try:
        yield shown
    finally:
        blocks.config = before


def _family_run(
    causal: Any, layout: Layout, layers: dict[int, nn.Module], tokens: int
) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
    """Input and output [1, tokens, hidden] of these layers in the family's loop, where all others do nothing."""
    seen: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def watched(index: int) -> Any:
        def keep(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any], made: Any) -> None:
            hidden = given[0] if given else named["hidden_states"]
            seen[index] = (hidden.clone(), (made[0] if isinstance(made, tuple) else made).clone())

        return keep

    nothing = RemoteLayer(lambda hidden: hidden, layout.form)
    every = [layers.get(index, nothing) for index in range(causal.config.num_hidden_layers)]
    ids = torch.randint(causal.config.vocab_size, (tokens,), generator=torch.Generator().manual_seed(0)).tolist()
    with contextlib.ExitStack() as hooks:
        for index, layer in layers.items():
            handle = layer.register_forward_hook(watched(index), with_kwargs=True)
            hooks.callback(handle.remove)
        ends_forward(with_layers(causal, layout.path, every), ids, 0)
    return seen


def _our_run(blocks: Blocks, index: int, hidden: torch.Tensor) -> torch.Tensor:
    with contextlib.closing(blocks.new_cache(BlockSpan(index, index + 1), hidden.shape[1])) as cache:
        return torch.cat([blocks.forward(piece, cache) for piece in hidden.split(PIECES, dim=1)], dim=1)
