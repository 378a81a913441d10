"""Paired statistics of arms that decided over the same problems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Difference:
    """Of two arms, in points. `p` is McNemar's, exact and two-sided."""

    points: float
    low: float
    high: float
    p: float

    def __str__(self) -> str:
        chance = "p < 0.001" if self.p < 0.001 else f"p = {self.p:.3f}"
        return f"{self.points:+.1f} ({self.low:+.1f} to {self.high:+.1f}), {chance}"


def interval(values: Sequence[float], seed: int) -> tuple[float, float]:
    """95 % of the mean, by bootstrap over problems."""
    drawn = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.quantile(np.asarray(values)[drawn].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def difference(ours: Sequence[float], theirs: Sequence[float], seed: int) -> Difference:
    """`ours` less `theirs`, problem by problem: 1 or 0, or shares where one arm is a mean of members."""
    gains = [our - their for our, their in zip(ours, theirs, strict=True)]
    low, high = interval(gains, seed)
    better, worse = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    return Difference(100 * sum(gains) / len(gains), 100 * low, 100 * high, sign_test(better, worse))


def sign_test(better: int, worse: int) -> float:
    """Two-sided exact binomial test of one half over the problems on which the arms differ; McNemar's exact test."""
    count, fewer = better + worse, min(better, worse)
    logs = (math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1) for k in range(fewer + 1))
    tail = math.fsum(math.exp(log - count * math.log(2)) for log in logs)
    return min(1.0, 2 * tail)
