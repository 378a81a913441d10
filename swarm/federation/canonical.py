"""What an answer comes down to, so that two nodes that say the same differently are seen to agree.

The form of the text alone chooses the kind, never anything that a node says about it. Where in doubt two answers
differ: to merge wrong ones is worse than to split right ones.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

import rfc8785

from swarm.federation.final_answer import final_answer, visible_text
from swarm.federation.quantities import plain_characters, quantity_key

SHORT_WORDS = 8
"""A text of at most this many words is its own answer; a longer one is free text."""
SHORT_CHARS = 1000
"""A longer text is free text without looking further: the text is a stranger's, and may be made to be slow."""
SHOWN_CHARS = 80

_FENCED = re.compile(r"\A```(?:json)?\s*\n(.*)\n```\Z", re.DOTALL | re.IGNORECASE)
_LATEX = (
    (re.compile(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}"), r"\1/\2"),
    (re.compile(r"\\(?:text|mathrm|textbf)\{([^{}]*)\}"), r" \1"),
    (re.compile(r"\^\{?\\circ\}?"), "°"),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\(?:left|right|[,;! ()\[\]])"), " "),
    (re.compile(r"\\([%$])"), r"\1"),
    (re.compile(r"\A\s*\$(.+)\$\s*\Z"), r"\1"),
)
# A comma before exactly three digits groups thousands; any other one separates.
_SEPARATOR = re.compile(r"\s*(?:;|,(?!\d{3}(?!\d)))\s*(?:and\s+)?|\s+and\s+")
_BRACKETED = re.compile(r"\A\s*[\[({](.*)[\])}]\s*\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class CanonicalAnswer:
    """Answers of a kind other than `free` agree if and only if kind and key are equal."""

    kind: Literal["json", "closed", "free"]
    key: str
    """Canonical JSON; or the exact value, list or words; or the whole visible text."""

    @property
    def exact(self) -> bool:
        return self.kind != "free"

    @property
    def shown(self) -> str:
        return " ".join(self.key[: 2 * SHOWN_CHARS].split())[:SHOWN_CHARS]


def canonical_answer(text: str) -> CanonicalAnswer:
    visible = visible_text(text)
    structured = _structured(visible)
    if structured is not None:
        return structured
    said = final_answer(visible)
    for closed in (said, visible):
        if closed is not None and _is_short(closed):
            return CanonicalAnswer("closed", closed_key(closed))
    return CanonicalAnswer("free", visible)


def _is_short(text: str) -> bool:
    if len(text) > SHORT_CHARS:
        return False
    # A list of numbers counts as one word, whatever its length.
    words = re.sub(r"[\d.]+[,;]?\s+(?=[\d.])", "", text).split()
    return len(words) <= SHORT_WORDS and "\n" not in text.strip()


def _structured(text: str) -> CanonicalAnswer | None:
    """JSON objects and arrays. An array of numbers is the list that others write in words."""
    fenced = _FENCED.match(text)
    body = fenced.group(1).strip() if fenced else text
    if not body.startswith(("{", "[")):
        return None
    try:
        value = json.loads(body, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
        canonical = _canonical_json(value)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, list) and value and all(type(item) in (int, float) for item in value):
        return CanonicalAnswer("closed", closed_key(", ".join(map(str, value))))
    return CanonicalAnswer("json", canonical)


def _canonical_json(value: Any) -> str:
    try:
        return rfc8785.dumps(value).decode()
    except rfc8785.CanonicalizationError:
        # Numbers that no double holds, such as 64-bit ids.
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key occurs twice")
    return dict(pairs)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def closed_key(text: str) -> str:
    """A value, a list of them in order, or words without case, articles and punctuation."""
    for pattern, replacement in _LATEX:
        text = pattern.sub(replacement, text)
    plain = plain_characters(text).strip().strip("\"'“”‘’").rstrip(".!?:").strip()
    bracketed = _BRACKETED.match(plain)
    items = _SEPARATOR.split(bracketed.group(1) if bracketed else plain)
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
    text = re.sub(r"[.,;:!?](?!\d)|[\"'“”‘’()\[\]{}]", "", text)
    # Not before a single letter: in `A or B` the first word is a choice, not an article.
    text = re.sub(r"\b(?:a|an|the|option|choice)\s+(?=\w{2})|\b(?:option|choice)\s+", "", text)
    return " ".join(re.sub(r"\s*([<>=≤≥≠+*/^])\s*", r" \1 ", text).split())
