"""Which tokens may be drawn: filters over [vocabulary] probabilities. What is left out becomes 0; nothing is scaled."""

from __future__ import annotations

import torch

SHORTLIST = 512
"""Most likely tokens that are ordered first: a nucleus is rarely larger, and to sort a whole vocabulary takes ten times
as long as the rest of a draw."""


def top_k(probabilities: torch.Tensor, count: int) -> torch.Tensor:
    """The `count` most likely tokens, and those as likely as the last of them."""
    if count >= len(probabilities):
        return probabilities
    least = probabilities.topk(count).values[-1]
    return probabilities.where(probabilities >= least, 0)


def top_p(probabilities: torch.Tensor, share: float) -> torch.Tensor:
    """The fewest most likely tokens that make up `share` of what there is (Holtzman et al. 2019)."""
    needed = float(probabilities.sum()) * share
    if len(probabilities) > SHORTLIST:
        ordered, tokens = probabilities.topk(SHORTLIST)
        count = _count(ordered, needed)
        # Of equally likely tokens at the border this order would take any; the whole sort takes the lower ids.
        if count < SHORTLIST and ordered[count] < ordered[count - 1]:
            return _only(probabilities, tokens[:count])
    ordered, tokens = probabilities.sort(descending=True, stable=True)
    return _only(probabilities, tokens[: _count(ordered, needed)])


def min_p(probabilities: torch.Tensor, fraction: float) -> torch.Tensor:
    """Tokens at least `fraction` as likely as the most likely one (Nguyen et al. 2024)."""
    return probabilities.where(probabilities >= fraction * probabilities.max(), 0)


def _count(ordered: torch.Tensor, needed: float) -> int:
    return max(1, int((ordered.cumsum(dim=-1) - ordered < needed).sum()))


def _only(probabilities: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(probabilities).scatter_(0, tokens, probabilities[tokens])
