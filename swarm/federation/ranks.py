"""Ranks and medians, where scales cannot be compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby


def midranks(values: Sequence[float]) -> list[float]:
    """From 1 for the smallest; equal values share the mean of their ranks."""
    ranks = [0.0] * len(values)
    before = 0
    for _, group in groupby(sorted(range(len(values)), key=values.__getitem__), key=values.__getitem__):
        equal = list(group)
        for index in equal:
            ranks[index] = before + (len(equal) + 1) / 2
        before += len(equal)
    return ranks


def unit_ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 0 for the smallest to 1; one half for a value alone."""
    if len(values) < 2:
        return [0.5] * len(values)
    return [(rank - 1) / (len(values) - 1) for rank in midranks(values)]


def weighted_median(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Of (value, weight): half of the weight lies on either side; None without any weight."""
    ordered = sorted(pair for pair in pairs if pair[1] > 0)
    half = math.fsum(weight for _, weight in ordered) / 2
    passed = 0.0
    for place, (value, weight) in enumerate(ordered, 1):
        passed += weight
        if math.isclose(passed, half) and place < len(ordered):
            return (value + ordered[place][0]) / 2
        if passed >= half:
            return value
    return None
