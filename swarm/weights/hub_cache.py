"""Hugging Face's cache on disk: `models--ORG--NAME/{blobs, refs/main, snapshots/REVISION}`, and our folder beside.

A model that is only partly here lies in `models--ORG--NAME/swarm/CONTENT/files`, where no tool of the hub looks: files
of full size with holes. A file without holes is linked into `blobs` and the snapshot, and is one like any other then.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

PARTIAL = "swarm"


def model_folder(cache: Path, model_id: str) -> Path:
    return cache / f"models--{model_id.replace('/', '--')}"


def partial_folder(cache: Path, model_id: str, content: str) -> Path:
    return model_folder(cache, model_id) / PARTIAL / content[:16]


def adopt(cache: Path, model_id: str, revision: str, file: Path, digest: str) -> Path:
    """Makes a whole file a part of the snapshot, without a copy of its bytes; returns the blob. Raises `OSError`."""
    folder = model_folder(cache, model_id)
    blob, snapshot = folder / "blobs" / digest, folder / "snapshots" / revision
    blob.parent.mkdir(parents=True, exist_ok=True)
    snapshot.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.link(file, blob)
    with contextlib.suppress(FileExistsError):
        os.symlink(Path("../../blobs") / digest, snapshot / file.name)
    return blob


def name_revision(cache: Path, model_id: str, revision: str) -> None:
    """Lets the tools of the hub find the snapshot without the hub; one that they already know stays."""
    ref = model_folder(cache, model_id) / "refs" / "main"
    ref.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError), ref.open("x") as file:
        file.write(revision)


def allowed_roots(folder: Path) -> tuple[Path, ...]:
    """Where the files of a model's folder may really lie: in it, or in the blobs of the cache that it belongs to."""
    roots = [folder.resolve()]
    if folder.parent.name == "snapshots":
        roots.append((folder.parent.parent / "blobs").resolve())
    return tuple(roots)


def taken_bytes(cache: Path) -> int:
    """What fetched weights take on disk: blocks that are really there, holes not counted."""
    files = cache.glob(f"models--*/{PARTIAL}/*/files/*")
    return sum(file.stat().st_blocks * 512 for file in files if file.is_file())
