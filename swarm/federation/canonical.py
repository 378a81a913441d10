"""What an answer comes down to, so that two nodes that say the same differently are seen to agree.

The request chooses the kind where it can, and else the form of the text; never anything that a node says about it.
Where in doubt two answers differ: to merge wrong ones is worse than to split right ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from swarm.domain.answers import AnswerForm, ToolCall
from swarm.federation.canonical_code import code_key, fenced_code
from swarm.federation.canonical_json import calls_key, json_key, parse_json
from swarm.federation.closed_answers import closed_key
from swarm.federation.final_answer import final_answer, visible_text

SHORT_WORDS = 8
"""A text of at most this many words is its own answer; a longer one is free text."""
SHORT_CHARS = 1000
"""A longer text is free text without looking further: the text is a stranger's, and may be made to be slow."""
SHOWN_CHARS = 80
REMEMBERED = 64
"""Texts; a vote looks at the same few each time that one more arrives."""

_ANY = AnswerForm()


@dataclass(frozen=True, slots=True)
class CanonicalAnswer:
    """Answers of a kind other than `free` agree if and only if kind and key are equal."""

    kind: Literal["tools", "json", "code", "closed", "free"]
    key: str
    """Canonical JSON; or normalised code; or the exact value, list or words; or the whole visible text."""

    @property
    def exact(self) -> bool:
        return self.kind != "free"

    @property
    def shown(self) -> str:
        return " ".join(self.key[: 2 * SHOWN_CHARS].split())[:SHOWN_CHARS]


def canonical_answer(text: str, form: AnswerForm = _ANY, calls: Sequence[ToolCall] = ()) -> CanonicalAnswer:
    """Of the text that a node sent, or of the tools that it wants to be called, for a request of this form."""
    if calls:
        return CanonicalAnswer("tools", calls_key(calls, form.tools))
    visible = visible_text(text)
    match form.kind:
        case "json":
            return _json(visible) or CanonicalAnswer("free", visible)
        case "code":
            return _code(visible)
        case "text":
            return CanonicalAnswer("free", visible)
        case "auto" | "tools":
            return _by_its_look(visible, form.options) if form.options else _by_its_look_alone(visible)


@lru_cache(REMEMBERED)
def _by_its_look_alone(visible: str) -> CanonicalAnswer:
    return _by_its_look(visible, {})


def _by_its_look(visible: str, options: Mapping[str, str]) -> CanonicalAnswer:
    structured = _list_or_json(visible)
    if structured is not None:
        return structured
    fenced = fenced_code(visible)
    if fenced is not None and fenced.alone:
        return CanonicalAnswer("code", code_key(fenced.text, fenced.language))
    said = final_answer(visible)
    for closed in (said, visible):
        if closed is not None and _is_short(closed):
            return CanonicalAnswer("closed", closed_key(closed, options))
    return CanonicalAnswer("free", visible)


def _is_short(text: str) -> bool:
    if len(text) > SHORT_CHARS:
        return False
    # A list of numbers counts as one word, whatever its length.
    words = re.sub(r"[\d.]+[,;]?\s+(?=[\d.])", "", text).split()
    return len(words) <= SHORT_WORDS and "\n" not in text.strip()


def _json(visible: str) -> CanonicalAnswer | None:
    try:
        return CanonicalAnswer("json", json_key(parse_json(visible)))
    except ValueError:
        return None


def _list_or_json(visible: str) -> CanonicalAnswer | None:
    """JSON objects and arrays. An array of numbers is the list that others write in words."""
    try:
        value = parse_json(visible)
        if isinstance(value, list) and value and all(type(item) in (int, float) for item in value):
            return CanonicalAnswer("closed", closed_key(", ".join(map(str, value)), {}))
        return CanonicalAnswer("json", json_key(value)) if isinstance(value, dict | list) else None
    except ValueError:
        return None


def _code(visible: str) -> CanonicalAnswer:
    fenced = fenced_code(visible)
    if fenced is None:
        return CanonicalAnswer("code", code_key(visible, ""))
    return CanonicalAnswer("code", code_key(fenced.text, fenced.language))
