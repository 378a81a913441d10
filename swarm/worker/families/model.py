"""A loaded model: the family's own causal language model, whole or with only some of its layers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoTokenizer, GenerationConfig
from transformers.utils import logging as transformers_logging

from swarm.domain.nodes import BlockSpan
from swarm.worker.failures import LoadFailure
from swarm.worker.families.allocation import weights_apart
from swarm.worker.families.blocks import Blocks
from swarm.worker.families.checkpoint import Checkpoint
from swarm.worker.families.comparison import compare_with_family
from swarm.worker.families.layout import Layout, RemoteLayer, base_of, layers_path, layout_of, with_layers
from swarm.worker.families.plain import PlainSequence
from swarm.worker.families.quantization import quantizer
from swarm.worker.families.support import CannotBeCut, refusal, why_not_cut


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
    layout: Layout | None
    """None where the model cannot be cut."""
    not_cut: str
    """Why it cannot be, and what to do; empty where it can."""

    @property
    def known_tokens(self) -> int:
        """Ids from 0 to below this have an embedding; it may be more than the tokenizer's."""
        return int(self.causal.get_input_embeddings().weight.shape[0])

    def with_remote_layers(self, run: Callable[[torch.Tensor], torch.Tensor]) -> Any:
        """The same embedding, norm and head around one stand-in layer that hands hidden states to `run`.

        Cheap enough for every request. Raises `LoadFailure` where the model cannot be cut."""
        if self.layout is None:
            raise LoadFailure(self.not_cut)
        return with_layers(self.causal, self.layout.path, [RemoteLayer(run, self.layout.form)])


@weights_apart()
def load_model(checkpoint: Checkpoint, span: BlockSpan | None, device: str, dtype: torch.dtype) -> LoadedModel:
    """Loads the ends and the layers of `span` (None: no layer at all). Raises `LoadFailure`.

    A model that cannot be cut is loaded all the same where `span` is all of it, without `blocks`."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    layers = range(span.start, span.end) if span else range(0)
    whole = len(layers) == checkpoint.info.layers
    reason = why_not_cut(checkpoint.config)
    if reason and not whole:
        raise LoadFailure(refusal(checkpoint.config, reason))
    causal = _causal(checkpoint, None if whole else frozenset(layers), device, dtype).to(device).eval()
    layout, blocks = None, None
    try:
        if reason:
            raise CannotBeCut(reason)
        layout = layout_of(causal)
        blocks = _blocks(causal, layout, layers) if layers else None
    except CannotBeCut as error:
        reason, layout = refusal(checkpoint.config, str(error)), None
        if not whole:
            hint = "" if checkpoint.quantization == "none" else ", or start without --quantization"
            raise LoadFailure(f"{reason}{hint}") from error
        _try_whole(checkpoint, causal)
    if layout is not None and not whole:
        # The blocks alone hold the layers, so that their memory is free when they are exchanged for others.
        setattr(base_of(causal, layout.path), layout.path[-1], nn.ModuleList())
    tokenizer = _tokenizer(checkpoint)
    ends = _end_tokens(checkpoint, tokenizer)
    return LoadedModel(checkpoint, tokenizer, causal, blocks, whole, ends, layout, reason)


@weights_apart()
def load_blocks(model: LoadedModel, span: BlockSpan, held: Mapping[int, nn.Module]) -> Blocks:
    """The blocks of `span`: those of `held` are taken, the others are read. Raises `LoadFailure`.

    A new object beside the old one, which is freed with its layers when the last sequence that uses it ends."""
    if model.layout is None:
        raise LoadFailure(model.not_cut)
    wanted = range(span.start, span.end)
    lacking = [index for index in wanted if index not in held]
    read: dict[int, nn.Module] = {}
    if lacking:
        ends = next(model.causal.parameters())
        causal = _causal(model.checkpoint, frozenset(lacking), ends.device.type, ends.dtype).to(ends.device).eval()
        read = dict(zip(lacking, causal.get_submodule(".".join(model.layout.path)), strict=True))
    layers = {index: held[index] if index in held else read[index] for index in wanted}
    return Blocks(base_of(model.causal, model.layout.path), model.causal.config, layers)


def _try_whole(checkpoint: Checkpoint, causal: Any) -> None:
    """Raises `LoadFailure` where the family's own forward does not hand out what it keeps between tokens, or calls its
    matrices as quantised ones cannot be."""
    try:
        sequence = PlainSequence(causal)
        for _ in range(2):
            sequence.step([0])
    except LookupError as error:
        raise LoadFailure(
            f"Models of the type {checkpoint.config.model_type} keep what they know of a text inside themselves, "
            "so that they answer one text at a time only; name another model"
        ) from error
    except NotImplementedError as error:
        raise LoadFailure(
            f"Models of the type {checkpoint.config.model_type} do not run with quantised weights; "
            "start without --quantization"
        ) from error


def _causal(checkpoint: Checkpoint, only: frozenset[int] | None, device: str, dtype: torch.dtype) -> Any:
    """The family's causal model with its weights; with the layers `only` where that is set."""
    family = MODEL_FOR_CAUSAL_LM_MAPPING[type(checkpoint.config)]
    built = family if only is None else _with_layers_only(family, only)
    try:
        layers = range(checkpoint.info.layers) if only is None else only
        with checkpoint.slices(layers) as slices:
            causal, found = built.from_pretrained(
                None,
                # It is written to: with what was quantised, and how attention is computed.
                config=copy.deepcopy(checkpoint.config),
                state_dict=slices,
                dtype=dtype,
                output_loading_info=True,
                **_quantised(checkpoint, device, dtype),
            )
    except (RuntimeError, ValueError, OSError) as error:
        raise LoadFailure(f"The weights of {checkpoint.info.id} do not load: {error}") from error
    if lacking := sorted(found["missing_keys"]):
        # transformers would go on with random numbers in their place.
        raise LoadFailure(f"The checkpoint of {checkpoint.info.id} lacks {len(lacking)} tensors, such as {lacking[0]}")
    return causal


def _quantised(checkpoint: Checkpoint, device: str, dtype: torch.dtype) -> dict[str, Any]:
    if checkpoint.quantization == "none":
        return {}
    by = quantizer(checkpoint.config, checkpoint.quantization, device, dtype)
    # A GPU's kernels want the weights packed there, not on the processor.
    return {"quantization_config": by} | ({} if device == "cpu" else {"device_map": {"": device}})


def _blocks(causal: Any, layout: Layout, layers: range) -> Blocks:
    kept = dict(zip(layers, causal.get_submodule(".".join(layout.path)), strict=True))
    # Of the built model, not of the checkpoint: only the former names the attention that masks are made for.
    blocks = Blocks(base_of(causal, layout.path), causal.config, kept)
    compare_with_family(causal, layout, blocks)
    return blocks


def _with_layers_only(family: type[Any], layers: frozenset[int]) -> type[Any]:
    """A subclass that drops the other layers as soon as it is built, on the meta device, before weights are loaded.

    It keeps the family's name and module, by which transformers finds the conversions of its checkpoint."""

    def __init__(self: Any, config: Any, *arguments: Any, **named: Any) -> None:
        family.__init__(self, config, *arguments, **named)
        path = layers_path(self)
        every = self.get_submodule(".".join(path))
        setattr(base_of(self, path), path[-1], _Numbered({index: every[index] for index in sorted(layers)}))

    return type(family.__name__, (family,), {"__init__": __init__, "__module__": family.__module__})


class _Numbered(nn.ModuleList):
    """Layers under their real index, so that tensor names fit; iterated in order."""

    def __init__(self, layers: dict[int, nn.Module]) -> None:
        super().__init__()
        for index, layer in layers.items():
            self.add_module(str(index), layer)


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
