"""The hashes of this machine's own weight files: made once, kept in the data folder until a file changes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from swarm.domain.weights import PIECE_BYTES, FilePieces
from swarm.weights.pieces import HASH_DIGITS, hash_piece, piece_count

Write = Callable[[Path, bytes], None]
"""Atomically."""


def hash_file(path: Path, tell: Callable[[int], None]) -> FilePieces:
    """Blocks: reads all of it, in one buffer. `tell` gets the size of each piece done. Raises `OSError`."""
    hashes: list[str] = []
    buffer = memoryview(bytearray(PIECE_BYTES))
    size = 0
    with path.open("rb", buffering=0) as file:
        while count := _fill(file, buffer):
            hashes.append(hash_piece(buffer[:count]))
            size += count
            tell(count)
    return FilePieces(size, "".join(hashes))


def _fill(file: object, buffer: memoryview) -> int:
    done = 0
    while done < len(buffer) and (count := file.readinto(buffer[done:])):  # type: ignore[attr-defined]
        done += count
    return done


@dataclass(frozen=True, slots=True)
class HashMemory:
    """One small file a weight file, valid while path, size and time of change are the same. All methods block."""

    folder: Path
    write: Write

    def recall(self, path: Path) -> FilePieces | None:
        try:
            known = json.loads(self._place(path).read_bytes())
            pieces = FilePieces(known["size"], known["hashes"])
            is_same = known["key"] == _key(path) and len(pieces.hashes) == HASH_DIGITS * piece_count(pieces.size)
            return pieces if is_same else None
        except (OSError, ValueError, LookupError, TypeError):
            return None  # Never made, or damaged: it is made again.

    def remember(self, path: Path, pieces: FilePieces) -> None:
        """Raises `OSError`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        document = {"key": _key(path), "size": pieces.size, "hashes": pieces.hashes}
        self.write(self._place(path), json.dumps(document).encode())

    def _place(self, path: Path) -> Path:
        return self.folder / f"{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]}.json"


def _key(path: Path) -> list[object]:
    real = path.resolve()
    facts = real.stat()
    return [str(real), facts.st_size, facts.st_mtime_ns]
