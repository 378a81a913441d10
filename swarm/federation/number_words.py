"""Whole numbers in English words."""

from __future__ import annotations

import re
from types import MappingProxyType

_SMALL = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_VALUES = MappingProxyType(
    {word: value for value, word in enumerate(_SMALL)} | {word: 10 * place for place, word in enumerate(_TENS, 2)}
)
SCALES = MappingProxyType({"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12})
_WORDS = frozenset({*_VALUES, *SCALES, "hundred"})


def spelled_number(text: str) -> tuple[int, str] | None:
    """The number that a case-folded text begins with, and the rest; None where it begins with none. What no grammar
    allows, such as `one two`, is none."""
    words = re.findall(r"[a-z]+", re.split(r"[^a-z\s-]", text[:200], maxsplit=1)[0])
    taken: list[str] = []
    for position, word in enumerate(words):
        joins = word == "and" and taken[-1:] in (["hundred"], ["thousand"]) and words[position + 1 : position + 2]
        if word not in _WORDS and not (joins and words[position + 1] in _VALUES):
            break
        taken.append(word)
    value = _value([word for word in taken if word != "and"])
    if value is None:
        return None
    end = re.match(r"[\s-]*".join(map(re.escape, taken)), text)
    return (value, text[end.end() :]) if end else None


def _value(words: list[str]) -> int | None:
    """By falling scales: hundreds, tens and ones before each."""
    if not words:
        return None
    total, group, last_scale = 0, list[str](), 10**15
    for word in words:
        if word not in SCALES:
            group.append(word)
            continue
        below_thousand = _below_thousand(group)
        if not below_thousand or SCALES[word] >= last_scale:
            return None
        total, group, last_scale = total + below_thousand * SCALES[word], [], SCALES[word]
    rest = _below_thousand(group) if group else 0
    return None if rest is None else total + rest


def _below_thousand(words: list[str]) -> int | None:
    if "hundred" in words:
        place = words.index("hundred")
        hundreds = _VALUES.get(words[0], 0) if place == 1 else 0
        rest = _below_hundred(words[place + 1 :])
        return 100 * hundreds + rest if 1 <= hundreds <= 19 and rest is not None else None
    return _below_hundred(words) if words else None


def _below_hundred(words: list[str]) -> int | None:
    match [_VALUES.get(word) for word in words]:
        case []:
            return 0
        case [int(value)]:
            return value
        case [int(tens), int(ones)] if tens >= 20 and 1 <= ones <= 9:
            return tens + ones
        case _:
            return None
