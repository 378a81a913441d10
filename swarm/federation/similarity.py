"""How alike two free texts are, and what forbids that they count as the same answer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

from rapidfuzz import fuzz

from swarm.federation.quantities import numbers_in, plain_characters

COMPARED_CHARS = 2000
"""Keeps the comparison of every pair of a large vote below a tenth of a second."""
SAME_ANSWER = 0.70
"""Average similarity within a cluster of free texts."""

_NEGATION = re.compile(r"\b(?:not|no|never|none|cannot|neither|nor|without)\b|n['’]t\b")


@dataclass(frozen=True, slots=True)
class FreeText:
    """A text made ready to be compared with many others."""

    plain: str
    words: Counter[str]
    numbers: frozenset[Fraction]
    denies: bool


def free_text(text: str) -> FreeText:
    plain = " ".join(plain_characters(text[:COMPARED_CHARS]).split())
    return FreeText(plain, Counter(re.findall(r"\w+", plain)), numbers_in(plain), bool(_NEGATION.search(plain)))


def similarity(left: FreeText, right: FreeText) -> float:
    """0 to 1: the mean of the overlap of words (F1) and of the order of characters."""
    return 0.5 * _word_f1(left, right) + 0.5 * fuzz.ratio(left.plain, right.plain) / 100


def contradict(left: FreeText, right: FreeText) -> bool:
    """They name different numbers, or one denies and the other does not."""
    return left.denies != right.denies or left.numbers != right.numbers


def _word_f1(left: FreeText, right: FreeText) -> float:
    total = left.words.total() + right.words.total()
    return 2 * (left.words & right.words).total() / total if total else float(left.plain == right.plain)


def clusters_of_texts(texts: Sequence[str]) -> list[list[int]]:
    """Indices of texts that give the same answer, by average-link clustering: the order of the texts is no matter."""
    prepared = [free_text(text) for text in texts]
    likeness = [[0.0] * len(texts) for _ in texts]
    for (i, left), (j, right) in combinations(enumerate(prepared), 2):
        likeness[i][j] = likeness[j][i] = 0.0 if contradict(left, right) else similarity(left, right)
    clusters = [[index] for index in range(len(texts))]
    while len(clusters) > 1:
        alike, first, second = max(
            (_average_link(likeness, clusters[i], clusters[j]), -i, -j)
            for i in range(len(clusters))
            for j in range(i + 1, len(clusters))
        )
        if alike < SAME_ANSWER:
            break
        clusters[-first] += clusters.pop(-second)
    return clusters


def _average_link(likeness: Sequence[Sequence[float]], left: Sequence[int], right: Sequence[int]) -> float:
    return sum(likeness[i][j] for i in left for j in right) / (len(left) * len(right))
