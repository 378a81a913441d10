"""Weights as nodes offer them to each other: files by the digest of their content, cut into pieces."""

from __future__ import annotations

from dataclasses import dataclass

PIECE_BYTES = 4 * 2**20
"""What is hashed, asked for and kept at once: 35 ms at a gigabit, 2 s on bad Wi-Fi. A part of the protocol."""


@dataclass(frozen=True, slots=True)
class FileRange:
    """Bytes `start` (included) to `end` (excluded) of a file of a model."""

    file: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class OfferedFile:
    """`digest` names the content, wherever it lies and whatever it is called: see `swarm.weights.pieces`."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class WeightsOffer:
    """A model that a node can hand on, wholly or as far as it has it."""

    model_id: str
    model_digest: str
    """`ModelInfo.digest`, by which a chain knows the model."""
    revision: str
    """40 hexadecimal digits: the hub's commit where it is known, else made from the content."""
    files: tuple[OfferedFile, ...]


@dataclass(frozen=True, slots=True)
class FilePieces:
    """The SHA-256 of each piece of a file, 64 hexadecimal digits each, one after the other."""

    size: int
    hashes: str


@dataclass(frozen=True, slots=True)
class HeldPieces:
    """Which pieces of a file a node has now: bit `i % 8` of byte `i // 8`, as hexadecimal digits."""

    bitmap: str
