"""Token ids to text, piece by piece, never in the middle of a character."""

from __future__ import annotations

from collections.abc import Callable, Sequence

UNFINISHED = "\N{REPLACEMENT CHARACTER}"


class Detokenizer:
    """Emits text as soon as it is whole; joined pieces equal the decoding of all ids at once.

    A piece is what a window of ids decodes to beyond what its older part decodes to, so that a tokenizer that
    treats the first token differently (a leading space) is right, and the cost does not grow with the answer."""

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._window = self._shown = 0

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
        if not final and (text.endswith(UNFINISHED) or len(text) <= len(known)):
            return ""
        self._window, self._shown = self._shown, len(self._ids)
        return text[len(known) :]
