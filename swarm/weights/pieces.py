"""Files as pieces of `PIECE_BYTES`: their hashes, the digest over these, and which pieces are here. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from swarm.domain.errors import PeerError
from swarm.domain.weights import PIECE_BYTES, FilePieces

HASH_DIGITS = 64
DIGEST = re.compile(r"[0-9a-f]{64}")
SIZE_LIMIT = 2**44
"""16 TiB: far above any weight file."""


def piece_count(size: int) -> int:
    return -(-size // PIECE_BYTES)


def piece_bounds(index: int, size: int) -> tuple[int, int]:
    """Start and end in bytes; only the last piece of a file may be shorter."""
    return index * PIECE_BYTES, min((index + 1) * PIECE_BYTES, size)


def pieces_within(start: int, end: int) -> range:
    """The pieces that hold bytes `start` to `end`."""
    return range(start // PIECE_BYTES, piece_count(end)) if end > start else range(0)


def hash_piece(data: bytes | bytearray | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()


def digest_of(pieces: FilePieces) -> str:
    """Names a file by its content: SHA-256 over piece size, file size and the hashes of the pieces."""
    return hashlib.sha256(f"{PIECE_BYTES} {pieces.size} {pieces.hashes}".encode()).hexdigest()


def hash_of(pieces: FilePieces, index: int) -> str:
    return pieces.hashes[index * HASH_DIGITS : (index + 1) * HASH_DIGITS]


def check_pieces(pieces: FilePieces, digest: str) -> None:
    """Raises `PeerError` where these are not the pieces of the file of that digest."""
    if len(pieces.hashes) != HASH_DIGITS * piece_count(max(0, pieces.size)) or digest_of(pieces) != digest:
        raise PeerError(f"The hashes of the pieces do not belong to the file {digest[:12]}.")


class Bitmap:
    """Which of `count` pieces are here."""

    def __init__(self, count: int, held: Iterable[int] = ()) -> None:
        self._count = count
        self._bits = bytearray(-(-count // 8))
        for index in held:
            self.add(index)

    @classmethod
    def full(cls, count: int) -> Bitmap:
        return cls(count, range(count))

    @classmethod
    def from_hex(cls, count: int, text: str) -> Bitmap:
        """Raises `ValueError` where the text is not a bitmap of that many pieces."""
        bits = bytes.fromhex(text)
        bitmap = cls(count)
        if len(bits) != len(bitmap._bits) or (count % 8 and bits and bits[-1] >> count % 8):
            raise ValueError(f"not a bitmap of {count} pieces")
        bitmap._bits[:] = bits
        return bitmap

    def to_hex(self) -> str:
        return self._bits.hex()

    def add(self, index: int) -> None:
        if not 0 <= index < self._count:
            raise IndexError(f"piece {index} of {self._count}")
        self._bits[index // 8] |= 1 << index % 8

    def __contains__(self, index: int) -> bool:
        return 0 <= index < self._count and bool(self._bits[index // 8] >> index % 8 & 1)

    def __len__(self) -> int:
        return int.from_bytes(self._bits, "little").bit_count()

    @property
    def is_full(self) -> bool:
        return len(self) == self._count
