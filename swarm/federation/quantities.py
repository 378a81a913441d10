"""Numbers as people write them, read exactly: sign, thousands, fractions, percent, currency, unit."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from types import MappingProxyType

from swarm.federation.number_words import SCALES, spelled_number

SIGNIFICANT_DIGITS = 7
"""Decimals that are longer were rounded somewhere: they agree up to one part in a million."""
SMALL_DENOMINATOR = 100
"""Of a fraction that a long decimal stands for."""

# Lengths are bounded because a peer writes this text: `1e999999999` must not become a number of a gigabyte.
_NUMBER = r"(?:(?:\d{1,3}(?:,\d{3}){1,12}|\d{1,60})(?:\.\d{1,60})?|\.\d{1,60})(?:e[+-]?\d{1,3})?"
_QUANTITY = re.compile(
    rf"(?P<sign>[+-]?)\s*(?P<currency>[$€£¥]?)\s*(?P<inner_sign>[+-]?)"
    rf"(?:(?P<whole>\d{{1,18}})\s+(?=[^/]+/))?(?P<number>{_NUMBER})(?:\s*/\s*(?P<below>{_NUMBER}))?"
    r"\s*(?P<unit>(?:[%°a-zµ$€£¥](?:[a-z°%/ ]|\^-?\d){0,40})?)"
)
_NUMBERS_IN_TEXT = re.compile(r"\d{1,60}(?:,\d{3}(?!\d)){0,12}(?:\.\d{1,60})?(?:e[+-]?\d{1,3})?")
_UNITS = MappingProxyType(
    {
        "percent": "%",
        "pct": "%",
        "dollar": "$",
        "usd": "$",
        "buck": "$",
        "euro": "€",
        "eur": "€",
        "pound": "£",
        "gbp": "£",
        "yen": "¥",
        "jpy": "¥",
        "kilometer": "km",
        "kilometre": "km",
        "meter": "m",
        "metre": "m",
        "centimeter": "cm",
        "centimetre": "cm",
        "millimeter": "mm",
        "millimetre": "mm",
        "mile": "mi",
        "foot": "ft",
        "feet": "ft",
        "inch": "in",
        "inches": "in",
        "kilogram": "kg",
        "gram": "g",
        "milligram": "mg",
        "liter": "l",
        "litre": "l",
        "milliliter": "ml",
        "millilitre": "ml",
        "second": "s",
        "sec": "s",
        "minute": "min",
        "mins": "min",
        "hour": "h",
        "hr": "h",
        "hrs": "h",
        "degree": "°",
        "celsius": "c",
        "fahrenheit": "f",
        "kph": "km/h",
        "mph": "mi/h",
    }
)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")


def plain_characters(text: str) -> str:
    """NFKC and case folding, with one kind of minus and of slash; `1½` stays one and a half, and `2²` is not `22`."""
    if text.isascii():
        return text.casefold()
    grouped = re.sub(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))", "", text)
    spaced = re.sub(r"(?<=\d)(?=[¼-¾⅐-⅞])", " ", grouped)
    raised = re.sub(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+", lambda match: "^" + match[0].translate(_SUPERSCRIPTS), spaced)
    folded = unicodedata.normalize("NFKC", raised).casefold()
    # Characters that nobody sees: zero-width ones, soft hyphens, marks of direction.
    seen = re.sub(r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]", "", folded)
    return re.sub(r"[−‒–—](?=\s*[\d.$€£¥])", "-", seen).replace("⁄", "/")


def quantity_key(text: str) -> str | None:
    """The exact value and unit of a text that is one quantity and nothing else; None for any other text."""
    plain = text.strip()
    spelled = spelled_number(plain.removeprefix("minus ").removeprefix("negative "))
    if spelled is not None:
        sign = "-" if plain.startswith(("minus ", "negative ")) else ""
        plain = f"{sign}{spelled[0]} {spelled[1].strip()}".strip()
    match = _QUANTITY.fullmatch(plain)
    if match is None or (match["sign"] and match["inner_sign"]):
        return None
    value = _value(match)
    scale, unit = _scale_and_unit(match["unit"])
    if value is None or (unit and match["currency"]):
        return None
    return f"{value * scale} {unit or match['currency']}".strip()


def _value(match: re.Match[str]) -> Fraction | None:
    below = _fraction(match["below"]) if match["below"] else Fraction(1)
    if below == 0:
        return None
    above = _fraction(match["number"])
    value = int(match["whole"] or 0) + (above / below if match["below"] else _rounded(above, match["number"]))
    return -value if "-" in (match["sign"], match["inner_sign"]) else value


def _rounded(value: Fraction, written: str) -> Fraction:
    """A long decimal as the simple fraction that it stands for, or to `SIGNIFICANT_DIGITS`; any other one exactly."""
    digits = re.sub(r"e.*|\D", "", written).lstrip("0")
    if value.denominator == 1 or "." not in written or len(digits) < SIGNIFICANT_DIGITS:
        return value
    simple = value.limit_denominator(SMALL_DENOMINATOR)
    if abs(simple - value) * 10 ** (SIGNIFICANT_DIGITS - 1) <= value:
        return simple
    return Fraction(f"{float(value):.{SIGNIFICANT_DIGITS - 1}e}")


def _fraction(number: str) -> Fraction:
    return Fraction(number.replace(",", ""))


def _scale_and_unit(words: str) -> tuple[int, str]:
    first, *others = words.split() or [""]
    scale = SCALES.get(first, 0)
    parts = re.sub(r"\s+per\s+|\s*/\s*", " / ", " ".join(others) if scale else words).split()
    unit = " ".join(_UNITS.get(part) or _UNITS.get(_singular(part)) or _singular(part) for part in parts)
    return scale or 1, unit.replace(" / ", "/").replace("° c", "°c").replace("° f", "°f")


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def numbers_in(text: str) -> tuple[int | Fraction, ...]:
    """The distinct numbers that occur anywhere in a text that went through `plain_characters`, in order; not those that
    are part of a word, such as `v2`."""
    found = (
        ("-" if text[match.start() - 1 : match.start()] == "-" else "") + match[0]
        for match in _NUMBERS_IN_TEXT.finditer(text)
        if not _is_glued(text[max(0, match.start() - 1) : match.start()])
    )
    return tuple(dict.fromkeys(map(_number, dict.fromkeys(found))))


def _is_glued(before: str) -> bool:
    return before.isalnum() or before in ("_", ".")


def _number(written: str) -> int | Fraction:
    return int(written) if written.isdigit() else _fraction(written)
