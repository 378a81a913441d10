"""Token ids to text, piece by piece, never in the middle of a character."""

from __future__ import annotations

from collections.abc import Callable, Sequence

UNFINISHED = "\N{REPLACEMENT CHARACTER}"
MOST_HELD = 8
"""Tokens that may wait for the rest of a character, which has four bytes at most; more are shown as they stand."""
CONTEXT = 6
"""Tokens of the prompt that the first token is read after."""


class Detokenizer:
    """Emits text as soon as it is whole.

    A piece is what a window of ids decodes to beyond what its older part decodes to, so that a tokenizer that
    treats the first token differently (a leading space) is right, and the cost does not grow with the answer."""

    def __init__(self, decode: Callable[[Sequence[int]], str], before: Sequence[int] = ()) -> None:
        """`before`: the ids that the text continues."""
        self._decode = decode
        self._ids = list(before[-CONTEXT:])
        self._window, self._shown = 0, len(self._ids)

    def add(self, token: int) -> str:
        """The text that this token completes; empty while a character is split."""
        self._ids.append(token)
        return self._piece(final=False)

    def finish(self) -> str:
        """What is held back, as it stands; broken bytes show as U+FFFD."""
        return self._piece(final=True)

    def _piece(self, *, final: bool) -> str:
        known = self._decode(self._ids[self._window : self._shown])
        text = self._decode(self._ids[self._window :])
        if not text.startswith(known):
            # A byte that cannot follow makes decoders show the ones before it in another way; those are sent.
            self._window, known = self._shown, ""
            text = self._decode(self._ids[self._shown :])
        is_whole = len(text) > len(known) and not text.endswith(UNFINISHED)
        if not (final or is_whole or len(self._ids) - self._shown > MOST_HELD):
            return ""
        self._window, self._shown = self._shown, len(self._ids)
        return text[len(known) :]
