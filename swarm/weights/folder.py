"""A model's folder on this machine, as it is offered: which of its files, and their hashes. All functions block."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from swarm.domain.nodes import ModelInfo
from swarm.domain.weights import FilePieces, OfferedFile, WeightsOffer
from swarm.weights.hashes import HashMemory, hash_file
from swarm.weights.hub_cache import allowed_roots
from swarm.weights.offers import FILE_NAME, REVISION, is_weights
from swarm.weights.pieces import digest_of

INDEX = "model.safetensors.index.json"


@dataclass(frozen=True, slots=True)
class HashedFile:
    path: Path
    pieces: FilePieces
    changed_ns: int
    """When the file was changed last before it was hashed; one that has changed since is not handed on."""

    def is_unchanged(self) -> bool:
        try:
            facts = self.path.stat()
        except OSError:
            return False
        return (facts.st_size, facts.st_mtime_ns) == (self.pieces.size, self.changed_ns)


@dataclass(frozen=True, slots=True)
class HashedFolder:
    offer: WeightsOffer
    files: Mapping[str, HashedFile]
    """By digest."""


def offered_files(folder: Path) -> list[Path]:
    """Weights that the index names (all, where there is none), settings and tokenizers. Nothing that a link leads out
    of the folder and of the hub cache's blobs, nothing in folders below."""
    roots = allowed_roots(folder)
    weights = _named_weights(folder)
    return [
        path
        for path in sorted(folder.iterdir())
        if FILE_NAME.fullmatch(path.name)
        and (not is_weights(path.name) or weights is None or path.name in weights)
        and path.is_file()
        and any(path.resolve().is_relative_to(root) for root in roots)
        and path.stat().st_size > 0
    ]


def _named_weights(folder: Path) -> frozenset[str] | None:
    try:
        return frozenset(json.loads((folder / INDEX).read_bytes())["weight_map"].values())
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        return None


def hash_folder(folder: Path, model: ModelInfo, memory: HashMemory, tell: Callable[[float], None]) -> HashedFolder:
    """Reads what was not read before; `tell` gets the share that is done. Raises `OSError`."""
    paths = offered_files(folder)
    total = sum(path.stat().st_size for path in paths)
    done = 0

    def count(size: int) -> None:
        nonlocal done
        done += size
        tell(done / max(total, 1))

    files: dict[str, HashedFile] = {}
    offered: list[OfferedFile] = []
    for path in paths:
        changed_ns = path.stat().st_mtime_ns
        pieces = memory.recall(path)
        if pieces is None:
            pieces = hash_file(path, count)
            memory.remember(path, pieces)
        else:
            count(pieces.size)
        digest = digest_of(pieces)
        files[digest] = HashedFile(path, pieces, changed_ns)
        offered.append(OfferedFile(path.name, pieces.size, digest))
    return HashedFolder(
        WeightsOffer(model.id, model.weights_digest, _revision_of(folder, offered), tuple(offered)), files
    )


def _revision_of(folder: Path, files: list[OfferedFile]) -> str:
    if folder.parent.name == "snapshots" and REVISION.fullmatch(folder.name):
        return folder.name
    return hashlib.sha256("".join(file.digest for file in files).encode()).hexdigest()[:40]
