"""Numbers as people write them, read exactly: sign, thousands, fractions, percent, currency, unit."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from types import MappingProxyType

# Lengths are bounded because a peer writes this text: `1e999999999` must not become a number of a gigabyte.
_NUMBER = r"(?:(?:\d{1,3}(?:,\d{3}){1,12}|\d{1,60})(?:\.\d{1,60})?|\.\d{1,60})(?:e[+-]?\d{1,3})?"
_QUANTITY = re.compile(
    rf"(?P<sign>[+-]?)\s*(?P<currency>[$€£¥]?)\s*(?P<inner_sign>[+-]?)"
    rf"(?:(?P<whole>\d{{1,18}})\s+(?=[^/]+/))?(?P<number>{_NUMBER})(?:\s*/\s*(?P<below>{_NUMBER}))?"
    r"\s*(?P<unit>(?:[%°a-zµ][a-z°%/^²³ ]{0,30})?)"
)
_NUMBERS_IN_TEXT = re.compile(rf"(?<![\w.])-?{_NUMBER}")
_UNITS = MappingProxyType(
    {
        "percent": "%",
        "dollar": "$",
        "usd": "$",
        "euro": "€",
        "eur": "€",
        "pound": "£",
        "kilometer": "km",
        "kilometre": "km",
        "meter": "m",
        "metre": "m",
        "centimeter": "cm",
        "centimetre": "cm",
        "kilogram": "kg",
        "gram": "g",
        "second": "s",
        "minute": "min",
        "hour": "h",
        "degree": "°",
    }
)
_WORDS = MappingProxyType(
    {
        "zero": "0",
        "one": "1",
        "two": "2",
        "three": "3",
        "four": "4",
        "five": "5",
        "six": "6",
        "seven": "7",
        "eight": "8",
        "nine": "9",
        "ten": "10",
        "eleven": "11",
        "twelve": "12",
    }
)


def plain_characters(text: str) -> str:
    """NFKC and case folding, with one kind of minus and of slash; `1½` stays one and a half."""
    spaced = re.sub(r"(?<=\d)(?=[¼-¾⅐-⅞])", " ", text)
    folded = unicodedata.normalize("NFKC", spaced).casefold()
    return re.sub(r"[−‒–—](?=\s*[\d.$€£¥])", "-", folded).replace("⁄", "/")


def quantity_key(text: str) -> str | None:
    """The exact value and unit of a text that is one quantity and nothing else; None for any other text."""
    first, _, rest = text.strip().partition(" ")
    match = _QUANTITY.fullmatch(f"{_WORDS.get(first, first)} {rest}".strip())
    if match is None or (match["sign"] and match["inner_sign"]):
        return None
    value = _value(match)
    unit = _unit(match["unit"])
    if value is None or (unit and match["currency"]):
        return None
    return f"{value} {unit or match['currency']}".strip()


def _value(match: re.Match[str]) -> Fraction | None:
    below = _fraction(match["below"]) if match["below"] else Fraction(1)
    if below == 0:
        return None
    value = int(match["whole"] or 0) + _fraction(match["number"]) / below
    return -value if "-" in (match["sign"], match["inner_sign"]) else value


def _fraction(number: str) -> Fraction:
    return Fraction(number.replace(",", ""))


def _unit(words: str) -> str:
    singular = [word[:-1] if len(word) > 3 and word.endswith("s") else word for word in words.split()]
    return " ".join(_UNITS.get(word, word) for word in singular)


def numbers_in(text: str) -> frozenset[Fraction]:
    """The distinct numbers that occur anywhere in a text."""
    found = (match.group() for match in _NUMBERS_IN_TEXT.finditer(plain_characters(text)))
    return frozenset(_fraction(number) for number in found)
