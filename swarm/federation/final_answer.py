"""Where a text says what its answer is: the last explicit statement of it."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator

_TAIL_CHARS = 8000
"""The last statement counts, so that only the end of a long text is searched."""
_STATEMENTS = 16
"""Of each form, at most, from the end: the text is a stranger's, and may be made of nothing else."""
_REASONING = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_ANSWER = "answer"
_STATED = re.compile(rf"\b{_ANSWER}(?:\s+(?:is|would be|equals)\b|\s*(?=[:=]))\s*[:=]?\s*", re.IGNORECASE)
_MARKED = re.compile(r"^####[ \t]+(?P<said>[^\n]+)", re.MULTILINE)
_BOXED = re.compile(r"\\boxed\s*\{")
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|;|,?\s+(?:because|since|which)\b")
_NEGATED = re.compile(r"\b(?:not|never|cannot|if)\b|n['’]t\b", re.IGNORECASE)


def visible_text(text: str) -> str:
    """The answer without the model's reasoning; empty where the reasoning never ended."""
    # Some chat templates open the reasoning themselves, so that only its end is in the text.
    return _REASONING.sub("", text).rpartition("</think>")[2].strip() if "think>" in text else text.strip()


def final_answer(text: str) -> str | None:
    r"""What the last of `\boxed{…}`, `#### …`, `answer is …`, `answer: …` says; None where there is none."""
    tail = text[-_TAIL_CHARS:].replace("**", "").replace("__", "").replace("`", "")
    statements = sorted([*_boxed(tail), *_marked(tail), *_stated(tail)])
    return statements[-1][1] if statements else None


def _last(pattern: re.Pattern[str], text: str) -> deque[re.Match[str]]:
    return deque(pattern.finditer(text), maxlen=_STATEMENTS)


def _last_stated(text: str) -> list[re.Match[str]]:
    """From the end, by the word itself: to look for the pattern at every character would take most of a vote's time."""
    found: list[re.Match[str]] = []
    lower = text.lower() if len(text.lower()) == len(text) else text
    end = len(lower)
    while len(found) < _STATEMENTS and (end := lower.rfind(_ANSWER, 0, end)) >= 0:
        match = _STATED.match(text, end)
        if match is not None:
            found.append(match)
    return found


def _stated(text: str) -> Iterator[tuple[int, str]]:
    for match in _last_stated(text):
        clause = re.split(r"[.\n]", text[: match.start()])[-1]
        line = text[match.end() :].partition("\n")[0]
        said = _SENTENCE_END.split(line, maxsplit=1)[0].strip()
        if said and not _NEGATED.search(clause) and "\\boxed" not in said:
            yield match.start(), said


def _marked(text: str) -> Iterator[tuple[int, str]]:
    """Only on the last line: elsewhere `####` is a heading."""
    if "####" not in text:
        return
    for match in _last(_MARKED, text):
        if not text[match.end() :].strip():
            yield match.start(), match["said"].strip().rstrip(".")


def _boxed(text: str) -> Iterator[tuple[int, str]]:
    if "\\boxed" not in text:
        return
    for match in _last(_BOXED, text):
        inside = _balanced(text, match.end())
        if inside is not None:
            yield match.start(), inside.strip()


def _balanced(text: str, start: int) -> str | None:
    """From `start`, just inside an opening brace, to the brace that closes it."""
    depth = 1
    for position in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[start:position]
    return None
