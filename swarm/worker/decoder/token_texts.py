"""What single tokens are as bytes, by the tokenizer's own table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
"""How SentencePiece spells a space."""


class TokenTexts:
    """The bytes of each token by itself, without what a decoder does between tokens."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: dict[int, bytes] = {}

    @cached_property
    def _added(self) -> Mapping[int, Any]:
        added: Mapping[int, Any] = getattr(self._tokenizer, "added_tokens_decoder", {})
        return added

    @cached_property
    def _bytes_of_char(self) -> dict[str, int] | None:
        """Of a byte-level vocabulary; None for others."""
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        decoder = backend.decoder.__getstate__() if backend is not None and backend.decoder is not None else b""
        return _byte_level() if b"ByteLevel" in decoder else None

    def raw(self, token: int) -> bytes:
        if token not in self._known:
            self._known[token] = self._spell(token)
        return self._known[token]

    def text(self, token: int) -> str:
        """Bytes that are no whole character show as U+FFFD."""
        return self.raw(token).decode(errors="replace")

    def _spell(self, token: int) -> bytes:
        if token in self._added:
            return str(self._added[token].content).encode()
        spelled = self._tokenizer.convert_ids_to_tokens(token)
        if not isinstance(spelled, str):  # beyond the tokenizer's words: the model's table is padded
            return b""
        if self._bytes_of_char is not None and all(char in self._bytes_of_char for char in spelled):
            return bytes(self._bytes_of_char[char] for char in spelled)
        if byte := _BYTE.fullmatch(spelled):
            return bytes([int(byte[1], 16)])
        return spelled.replace(_SPACE, " ").encode()


def _byte_level() -> dict[str, int]:
    """The alphabet of byte-level BPE (GPT-2): printable bytes stand for themselves, the others for what follows 255."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + at): byte for at, byte in enumerate(others)}
