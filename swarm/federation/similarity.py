"""How alike two free texts are, and what forbids that they count as the same answer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import combinations, compress, filterfalse, product
from operator import not_
from types import MappingProxyType

from rapidfuzz import fuzz

from swarm.federation.quantities import numbers_in, plain_characters

COMPARED_CHARS = 250
"""Of the beginning and of the end of a text, in which the order of characters is compared: the costly part."""
READ_CHARS = 32_000
"""Words beyond are not looked at."""
SAME_ANSWER = 0.70
"""Average similarity within a cluster of free texts."""
REMEMBERED = 64
"""Texts made ready; a vote looks at the same few each time that one more arrives."""

_NEGATIONS = ("not", "no", "never", "none", "nobody", "nothing", "cannot", "neither", "nor", "without", "hardly")
_SHORT_NEGATIONS = ("n't", "n’t")
_REFUSAL = re.compile(
    r"\b(?:i(?: am|['’]m) (?:sorry|unable|not able)|i (?:can(?:not|['’]t| not)|won['’]t|will not|must decline)|"
    r"as an ai|i do(?:n['’]t| not) (?:know|have (?:access|enough)))\b",
    re.IGNORECASE,
)
_REFUSAL_CHARS = 200
_TO_SPACES = str.maketrans(dict.fromkeys('.,;:!?()[]{}<>"“”„«»‘’*_`#/\\|-–—…=+~^', " ") | {"'": None})
_OPPOSITES = (
    "increase decrease, rise fall, more less, higher lower, high low, greater smaller, larger smaller, largest "
    "smallest, before after, above below, left right, true false, always never, yes no, all none, first last, "
    "north south, east west, up down, open closed, on off, hot cold, old new, safe dangerous, legal illegal, "
    "possible impossible, male female, buy sell, win lose, won lost, accept reject, agree disagree, positive "
    "negative, minimum maximum, early late, odd even, correct incorrect, right wrong, valid invalid, with "
    "without, in out, inside outside, import export, allow forbid, allowed forbidden, enable disable, faster "
    "slower, cheaper dearer, older younger, best worst"
)


def _opposites() -> Mapping[str, frozenset[str]]:
    """By word, in the forms that a plain ending makes."""
    pairs = [pair.split() for pair in _OPPOSITES.split(",")]
    both_ways = [(one, other) for one, other in pairs] + [(other, one) for one, other in pairs]
    of: dict[str, frozenset[str]] = {}
    for (one, other), ending in product(both_ways, ("", "s", "d", "ed")):
        of[one + ending] = of.get(one + ending, frozenset()) | {other + ending}
    return MappingProxyType(of)


_OPPOSITE_OF = _opposites()
_SENTENCE_ENDS = frozenset(".!?:\"'“*#-")
_AROUND_WORDS = ".,;:!?()[]\"'“”‘’*_#-"


@dataclass(frozen=True, slots=True)
class FreeText:
    """A text made ready to be compared with many others."""

    ends: str
    """Its beginning and its end, in plain characters."""
    words: Counter[str]
    distinct: frozenset[str]
    """The same words; sets are compared many times faster than counts."""
    numbers: tuple[int | Fraction, ...]
    """Distinct ones, in order of appearance."""
    names: frozenset[str]
    """Words that are capitalised within a sentence."""
    capitalised: tuple[str, ...]
    """All words that are, distinct, in order of appearance."""
    negations: int
    refuses: bool


@lru_cache(REMEMBERED)
def free_text(text: str) -> FreeText:
    read = text[:READ_CHARS]
    plain, pieces = plain_characters(read), read.split()
    words = Counter(plain.translate(_TO_SPACES).split())
    capitalised = _capitalised(pieces)
    # Most pieces are words and nothing else; only the others are searched for numbers.
    mixed = " ".join(filterfalse(str.isalpha, pieces if read.isascii() else plain.split()))
    return FreeText(
        ends=_ends(plain),
        words=words,
        distinct=frozenset(words),
        numbers=numbers_in(mixed.casefold()),
        names=frozenset(word for word, within in capitalised if within),
        capitalised=tuple(dict.fromkeys(word for word, _ in capitalised)),
        negations=sum(words[word] for word in _NEGATIONS) + sum(map(plain.count, _SHORT_NEGATIONS)),
        refuses=refuses(read),
    )


def _ends(plain: str) -> str:
    parts = (plain,) if len(plain) <= 2 * COMPARED_CHARS else (plain[:COMPARED_CHARS], plain[-COMPARED_CHARS:])
    return " ".join(" ".join(part.split()) for part in parts)


def _capitalised(pieces: Sequence[str]) -> list[tuple[str, bool]]:
    """Words that begin with a capital, case-folded, and whether they stand within a sentence."""
    found = []
    for place in compress(range(len(pieces)), map(not_, map(str.islower, pieces))):
        piece, before = pieces[place], pieces[place - 1] if place else "."
        bare = piece.strip(_AROUND_WORDS)
        if bare[:1].isupper() and len(bare) > 1:
            found.append((bare.casefold(), before[-1] not in _SENTENCE_ENDS and piece[0] not in _SENTENCE_ENDS))
    return found


def refuses(text: str) -> bool:
    """Says at its beginning that it will not, or cannot, answer."""
    return bool(_REFUSAL.search(text[:_REFUSAL_CHARS]))


def similarity(left: FreeText, right: FreeText) -> float:
    """0 to 1: the mean of the overlap of distinct words (F1) and of the order of characters."""
    return 0.5 * _word_f1(left, right) + 0.5 * fuzz.ratio(left.ends, right.ends) / 100


def contradict(left: FreeText, right: FreeText) -> bool:
    """They give other numbers or names, or these in another order; one denies more often, refuses, or says the
    opposite of a word of the other."""
    return (
        left.negations != right.negations
        or left.numbers != right.numbers
        or left.refuses != right.refuses
        or _names_differ(left, right)
        or _opposed(left.words, right.words)
    )


def _names_differ(left: FreeText, right: FreeText) -> bool:
    """Each knows a name that the other does not have at all, or they tell the same names in another order."""
    only_left, only_right = left.names - right.distinct, right.names - left.distinct
    if only_left and only_right:
        return True
    shared = (left.names | right.names) & frozenset(left.capitalised) & frozenset(right.capitalised)
    order = [[word for word in text.capitalised if word in shared] for text in (left, right)]
    return order[0] != order[1]


def _opposed(left: Counter[str], right: Counter[str]) -> bool:
    told = [word for word in left if word in _OPPOSITE_OF and left[word] > right[word]]
    return any(right[other] > left[other] for word in told for other in _OPPOSITE_OF[word])


def _word_f1(left: FreeText, right: FreeText) -> float:
    total = len(left.distinct) + len(right.distinct)
    return 2 * len(left.distinct & right.distinct) / total if total else float(left.ends == right.ends)


def clusters_of_texts(texts: Sequence[FreeText]) -> list[list[int]]:
    """Indices of texts that give the same answer, by average-link clustering: the order of the texts is no matter."""
    likeness = [[0.0] * len(texts) for _ in texts]
    for (i, left), (j, right) in combinations(enumerate(texts), 2):
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
