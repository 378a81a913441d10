"""What an answer is made of once its marks are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    text: str


@dataclass(frozen=True, slots=True)
class CallBegun:
    name: str


@dataclass(frozen=True, slots=True)
class ArgumentsPiece:
    """Of the call that began last."""

    text: str


Part = Text | Reasoning | CallBegun | ArgumentsPiece


class Marks:
    """Finds strings in a text that comes in pieces."""

    def __init__(self, marks: Sequence[str]) -> None:
        self._marks = tuple(marks)

    def first(self, text: str) -> tuple[int, str] | None:
        """Where the first of them begins; of two at one place the longer."""
        found = [(at, -len(mark), mark) for mark in self._marks if (at := text.find(mark)) >= 0]
        return (min(found)[0], min(found)[2]) if found else None

    def begun(self, text: str) -> int:
        """Length of the longest end of the text that may become one of them."""
        longest = max((len(mark) - 1 for mark in self._marks), default=0)
        for length in range(min(longest, len(text)), 0, -1):
            if any(mark.startswith(text[-length:]) for mark in self._marks):
                return length
        return 0
