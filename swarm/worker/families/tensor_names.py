"""Which tensors of a checkpoint belong to its language model, and what that model calls them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

LAYER_OF_TENSOR = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")
"""Finds the decoder layer in a tensor's name: `model.layers.3.mlp…`, `transformer.h.3.attn…`."""
TEXT_PREFIXES = (("model.language_model.", "model."), ("language_model.", ""))
"""Under which multimodal checkpoints keep their language model, and what stands there where it is alone."""
HEAD = "lm_head."
OTHER_PARTS = frozenset({"visual", "vision_tower", "vision_model", "audio_tower", "multi_modal_projector", "connector"})
"""Parts of multimodal checkpoints that stand beside a language model without a prefix."""


def layer_of(tensor_name: str) -> int | None:
    """The index of the decoder layer that a tensor belongs to; None for embedding, norms and head."""
    found = LAYER_OF_TENSOR.search(tensor_name)
    return int(found[1]) if found else None


def text_names(stored: Iterable[str]) -> dict[str, str]:
    """The language model's own name of each of its tensors, by the name in the files; other parts are left out."""
    names = list(stored)
    for prefix, alone in TEXT_PREFIXES:
        if any(name.startswith(prefix) for name in names):
            own = {name: alone + name.removeprefix(prefix) for name in names if name.startswith(prefix)}
            return own | {name: name for name in names if name.startswith(HEAD)}
    return {name: name for name in names if OTHER_PARTS.isdisjoint(name.split("."))}
