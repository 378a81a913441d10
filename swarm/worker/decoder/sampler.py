"""From logits to the next token."""

from __future__ import annotations

import random

import torch

from swarm.domain.generation import Sampling

SMALLEST_TEMPERATURE = 1e-6
"""Below this a draw would be the most likely token anyway, and dividing by it overflows."""


class Sampler:
    """Chooses tokens for one answer. The same seed and logits give the same tokens."""

    def __init__(self, sampling: Sampling) -> None:
        self._temperature, self._top_p = sampling.temperature, sampling.top_p
        self._random = random.Random(None if sampling.seed is None else sampling.seed % 2**63)

    def choose(self, logits: torch.Tensor) -> tuple[int, float]:
        """A token for [vocabulary] logits, and its natural-log probability at temperature 1."""
        logits = logits.float().cpu()
        token = int(logits.argmax()) if self._is_greedy else self._draw(logits / self._temperature)
        return token, float(torch.log_softmax(logits, dim=-1)[token])

    def skip(self, tokens: int) -> None:
        """Leaves out the draws of tokens that were chosen before, elsewhere, with the same seed."""
        for _ in range(0 if self._is_greedy else tokens):
            self._random.random()

    @property
    def _is_greedy(self) -> bool:
        return self._temperature < SMALLEST_TEMPERATURE

    def _draw(self, logits: torch.Tensor) -> int:
        probabilities = torch.softmax(logits, dim=-1)
        if self._top_p < 1:
            probabilities = _nucleus(probabilities, self._top_p)
        # One number a token, whatever the vocabulary, so that draws can be skipped.
        cumulative = probabilities.double().cumsum(dim=-1)
        at = self._random.random() * cumulative[-1]
        return min(int(torch.searchsorted(cumulative, at, right=True)), len(cumulative) - 1)


def _nucleus(probabilities: torch.Tensor, top_p: float) -> torch.Tensor:
    """Keeps the smallest set of most likely tokens whose probability reaches `top_p` (Holtzman et al. 2019)."""
    ordered, tokens = probabilities.sort(descending=True)
    ordered[ordered.cumsum(dim=-1) - ordered >= top_p] = 0
    return torch.zeros_like(probabilities).scatter_(0, tokens, ordered)
