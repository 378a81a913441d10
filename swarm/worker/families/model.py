"""A loaded model: the family's own causal language model, whole or with only some of its layers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoTokenizer, GenerationConfig
from transformers.utils import logging as transformers_logging

from swarm.domain.nodes import BlockSpan
from swarm.worker.failures import LoadFailure
from swarm.worker.families.blocks import Blocks
from swarm.worker.families.checkpoint import Checkpoint

LAYER_LISTS = ("layers", "h")
"""What families call the list of their decoder layers."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """`causal` answers by itself where `whole`; else it lacks the layers that are not in `blocks`."""

    checkpoint: Checkpoint
    tokenizer: Any
    causal: Any
    blocks: Blocks | None
    whole: bool
    end_tokens: frozenset[int]
    """Tokens at which an answer ends."""

    def with_remote_layers(self, run: Callable[[torch.Tensor], torch.Tensor]) -> Any:
        """The same embedding, norm and head around one stand-in layer that hands hidden states to `run`.

        Nothing is copied but the shells of three modules, so that this is cheap enough for every request."""
        causal, (base_name, base) = copy.copy(self.causal), _base_of(self.causal)
        shell = copy.copy(base)
        shell._modules = {**base._modules, _layers_name(base): nn.ModuleList([RemoteLayer(run)])}
        causal._modules = {**self.causal._modules, base_name: shell}
        return causal


class RemoteLayer(nn.Module):
    """Stands in a family's model for all of its decoder layers."""

    def __init__(self, run: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self._run = run

    def forward(self, hidden: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return self._run(hidden).to(hidden.device, hidden.dtype)


def load_model(checkpoint: Checkpoint, span: BlockSpan | None, device: str, dtype: torch.dtype) -> LoadedModel:
    """Loads the ends and the layers of `span` (None: no layer at all). Raises `LoadFailure`."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    layers = range(span.start, span.end) if span else range(0)
    family = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(checkpoint.config), None)
    if family is None:
        raise LoadFailure(
            f"{checkpoint.config.model_type} is not a decoder-only language model that transformers knows"
        )
    stripped = _with_layers_only(family, frozenset(layers))
    try:
        causal = stripped.from_pretrained(
            None, config=checkpoint.config, state_dict=checkpoint.read(layers), dtype=dtype
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise LoadFailure(f"The weights of {checkpoint.info.id} do not load: {error}") from error
    causal = causal.to(device).eval()
    base = _base_of(causal)[1]
    kept = dict(zip(layers, getattr(base, _layers_name(base)), strict=True))
    whole = len(kept) == checkpoint.info.layers
    # Of the built model, not of the checkpoint: only the former names the attention that masks are made for.
    blocks = Blocks(base, causal.config, kept) if kept else None
    tokenizer = _tokenizer(checkpoint)
    return LoadedModel(checkpoint, tokenizer, causal, blocks, whole, _end_tokens(checkpoint, tokenizer))


def _with_layers_only(family: type[Any], layers: frozenset[int]) -> type[Any]:
    """A subclass that drops the other layers as soon as it is built, on the meta device, before weights are loaded.

    It keeps the family's name and module, by which transformers finds the conversions of its checkpoint."""

    def __init__(self: Any, config: Any, *arguments: Any, **named: Any) -> None:
        family.__init__(self, config, *arguments, **named)
        base = _base_of(self)[1]
        name = _layers_name(base)
        every = getattr(base, name)
        if len(layers) < len(every):
            setattr(base, name, _Numbered({index: every[index] for index in sorted(layers)}))

    return type(family.__name__, (family,), {"__init__": __init__, "__module__": family.__module__})


class _Numbered(nn.ModuleList):
    """Layers under their real index, so that tensor names fit; iterated in order."""

    def __init__(self, layers: dict[int, nn.Module]) -> None:
        super().__init__()
        for index, layer in layers.items():
            self.add_module(str(index), layer)


def _base_of(causal: Any) -> tuple[str, nn.Module]:
    name = causal.base_model_prefix
    base = getattr(causal, name, None)
    if base is None or not any(hasattr(base, layers) for layers in LAYER_LISTS):
        raise LoadFailure(f"{type(causal).__name__} keeps its decoder layers where this version does not look for them")
    return name, base


def _layers_name(base: nn.Module) -> str:
    return next(name for name in LAYER_LISTS if hasattr(base, name))


def _tokenizer(checkpoint: Checkpoint) -> Any:
    try:
        return AutoTokenizer.from_pretrained(checkpoint.folder, trust_remote_code=False)
    except Exception as error:  # tokenizers raises whatever it stumbles over in a damaged file
        raise LoadFailure(f"The tokenizer of {checkpoint.info.id} does not load: {error}") from error


def _end_tokens(checkpoint: Checkpoint, tokenizer: Any) -> frozenset[int]:
    """Chat models often end turns with a token that only the generation config names."""
    try:
        named = GenerationConfig.from_pretrained(checkpoint.folder).eos_token_id
    except OSError:
        named = checkpoint.config.eos_token_id
    every = named if isinstance(named, list) else [named]
    return frozenset(token for token in [*every, tokenizer.eos_token_id] if token is not None)
