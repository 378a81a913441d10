"""One sequence in a whole model by the family's own forward, with whatever the family keeps between its tokens."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache

STATE_NAMES = ("past_key_values", "cache_params", "state")
"""What families call it, as arguments and in what they return: attention, Mamba, RWKV."""


class PlainSequence:
    """Works for every causal model of transformers, also for those that cannot be cut into blocks."""

    def __init__(self, causal: Any) -> None:
        self._causal = causal
        taken = inspect.signature(causal.forward).parameters
        self._name = next((name for name in STATE_NAMES if name in taken), STATE_NAMES[0])
        self._can_keep_few = "logits_to_keep" in taken
        self._state = DynamicCache(config=causal.config) if causal._supports_default_dynamic_cache() else None

    def step(self, ids: Sequence[int]) -> torch.Tensor:
        """Adds these tokens; the [vocabulary] logits that follow the last of them."""
        return self.step_all(ids, 1)[-1]

    @torch.inference_mode()
    def states(self, ids: Sequence[int]) -> torch.Tensor:
        """Adds these tokens; their [tokens, hidden] last hidden states."""
        inputs = torch.tensor([ids], device=self._causal.device)
        made = self._causal.base_model(input_ids=inputs, use_cache=True, **{self._name: self._state})
        self._state = made[self._name]
        hidden: torch.Tensor = made.last_hidden_state[0]
        return hidden

    @torch.inference_mode()
    def step_all(self, ids: Sequence[int], keep: int) -> torch.Tensor:
        """As `step`; the [tokens, vocabulary] logits that follow each of the last `keep` tokens, or of all of them."""
        inputs = torch.tensor([ids], device=self._causal.device)
        limit = {"logits_to_keep": keep} if self._can_keep_few else {}
        made = self._causal(input_ids=inputs, use_cache=True, **{self._name: self._state}, **limit)
        self._state = made[self._name]
        logits: torch.Tensor = made.logits[0]
        return logits
