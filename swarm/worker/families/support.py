"""Which families can be cut into blocks: what their config says before anything is read."""

from __future__ import annotations

from typing import Any


class CannotBeCut(Exception):
    """Why the layers of a model cannot run apart from each other; the whole model may still answer."""


CUT_LAYER_TYPES = frozenset({"full_attention", "sliding_attention", "chunked_attention"})
"""Layers that keep nothing but keys and values of their own."""


def why_not_cut(config: Any) -> str:
    """Why this family's layers cannot run apart from each other; empty where nothing in its config speaks against it.

    What a config does not say is found when a layer is tried (`Blocks`, `compare_with_family`)."""
    strange = sorted(set(getattr(config, "layer_types", None) or ()) - CUT_LAYER_TYPES)
    if strange:
        return f"its layers of the type {', '.join(strange)} keep other state than keys and values"
    if getattr(config, "num_kv_shared_layers", 0):
        return "its layers share keys and values with each other"
    if getattr(config, "hidden_size_per_layer_input", 0):
        return "each of its layers takes inputs of its own from the embedding"
    if config.model_type == "falcon" and config.alibi:
        return "its attention masks carry position biases (alibi)"
    return ""


def refusal(config: Any, reason: str) -> str:
    return (
        f"Models of the type {config.model_type} cannot be cut into blocks: {reason}. "
        "A machine that holds the whole model can answer with it: --engine local"
    )
