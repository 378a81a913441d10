"""The key of a short answer: a value, a list of values, a date, an option, or words."""

from __future__ import annotations

import re
from collections.abc import Mapping

from swarm.federation.moments import moment_key
from swarm.federation.quantities import plain_characters, quantity_key

_LATEX = (
    (re.compile(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}"), r"\1/\2"),
    (re.compile(r"\\(?:text|mathrm|textbf|mathbf|operatorname)\{([^{}]*)\}"), r" \1"),
    (re.compile(r"\\sqrt\{([^{}]*)\}"), r"√(\1)"),
    (re.compile(r"\^\{?\\circ\}?"), "°"),
    (re.compile(r"\^\{([^{}]*)\}"), r"^\1"),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\pi\b"), "π"),
    (re.compile(r"\\infty\b"), "∞"),
    (re.compile(r"\\(?:times|cdot)\b"), "×"),
    (re.compile(r"\\leq?\b"), "≤"),
    (re.compile(r"\\geq?\b"), "≥"),
    (re.compile(r"\\(?:neq?)\b"), "≠"),
    (re.compile(r"\\(?:left|right|[,;! ])"), " "),
    (re.compile(r"\\[()]"), " "),
    (re.compile(r"\\([%$])"), r"\1"),
    (re.compile(r"\A\s*\$(.+)\$\s*\Z"), r"\1"),
)
# A comma before exactly three digits groups thousands; any other one separates.
_SEPARATOR = re.compile(r"\s*(?:;|,(?!\d{3}(?!\d)))\s*(?:and\s+)?|\s+and\s+")
_BRACKETED = re.compile(r"\A\s*(?:\[(.*)\]|\((.*)\)|\{(.*)\})\s*\Z", re.DOTALL)
_INTERVAL = re.compile(r"\A\s*[\[(]([^,;\[\](){}]+)[,;]([^,;\[\](){}]+)[\])]\s*\Z")
_POWER_OF_TEN = re.compile(r"\s*(?:×|\*|·|\bx\b|(?<=\d)x)\s*10\s*\^\s*\(?([+-]?\d{1,3})\)?(?!\d)")
_LETTER = re.compile(r"\A(?:\(?([a-z])\)?[.):]?|(?:option|choice)\s+\(?([a-z])\)?)(?:[\s:.–—-]+(.*))?\Z", re.DOTALL)


def closed_key(text: str, options: Mapping[str, str]) -> str:
    """What the answer says without its layout. `options` are the letters that the request offers."""
    for pattern, replacement in _LATEX:
        text = pattern.sub(replacement, text)
    plain = plain_characters(text).strip().strip("\"'“”‘’").rstrip(".!?:").strip()
    return _option_key(plain, options) or moment_key(plain) or _interval_key(plain) or _list_key(plain)


def _option_key(plain: str, options: Mapping[str, str]) -> str | None:
    """The letter, whether it is named, quoted with its text, or only its text is given."""
    if not options:
        return None
    texts = {letter.casefold(): _list_key(plain_characters(text)) for letter, text in options.items()}
    named = _LETTER.match(plain)
    if named is not None:
        letter, said = named[1] or named[2], named[3]
        if letter in texts:
            is_clear = not said or _list_key(said.rstrip(" .)")) == texts[letter]
            return f"option {letter}" if is_clear else plain
    matching = [letter for letter, text in texts.items() if text == _list_key(plain)]
    return f"option {matching[0]}" if len(matching) == 1 else None


def _interval_key(plain: str) -> str | None:
    """Two ends in brackets of which one is round: open and closed ends differ. Two square ones may be a list."""
    ends = _INTERVAL.match(plain)
    if ends is None or (plain[0], plain[-1]) == ("[", "]"):
        return None
    return f"{plain[0]}{_item_key(ends[1])}, {_item_key(ends[2])}{plain[-1]}"


def _list_key(plain: str) -> str:
    bracketed = _BRACKETED.match(plain)
    inside = next((part for part in bracketed.groups() if part is not None), "") if bracketed else plain
    inside = _POWER_OF_TEN.sub(r"e\1", inside)
    # `one hundred and five` is no list.
    items = [inside] if quantity_key(inside) else _SEPARATOR.split(inside)
    return ", ".join(_item_key(item) for item in items if item.strip()) or plain


def _item_key(text: str) -> str:
    left, equals, right = text.rpartition("=")
    value = quantity_key(right if equals else text)
    if value is None:
        return _words_key(text)
    # `2 + 3 = 5` says 5; `x = 5` does not say the same as `y = 5`.
    name = re.fullmatch(r"\s*([a-z]\w*)\s*", left)
    return f"{name.group(1)} = {value}" if name else value


def _words_key(text: str) -> str:
    """Signs, decimal points and operators stay: without them `-5` would agree with `5` and `a < b` with `a > b`."""
    text = re.sub(r"(?<=[^\W\d])-(?=[^\W\d])", " ", text)
    text = re.sub(r"[.,;:!?](?!\d)|[\"'“”‘’]|[\[\](){}](?![\d\w])(?<![\d\w].)", "", text)
    # Not before a single letter: in `A or B` the first word is a choice, not an article.
    text = re.sub(r"\b(?:a|an|the|option|choice)\s+(?=\w{2})|\b(?:option|choice)\s+", "", text)
    return " ".join(re.sub(r"\s*([<>=≤≥≠+*/^×√])\s*", r" \1 ", text).split())
