"""Which models lie in the hub's cache, how much of them, and where. All functions block."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from swarm.weights.hub_cache import PARTIAL, model_folder
from swarm.weights.notes import begun_offers

PREFIX = "models--"


@dataclass(frozen=True, slots=True)
class StoredFile:
    path: Path
    size: int
    """As it will be once it is whole, in bytes."""
    on_disk: int
    """What of it is there, in bytes."""


@dataclass(frozen=True, slots=True)
class StoredModel:
    name: str
    folder: Path
    """All of it, with what is being fetched."""
    on_disk: int
    """Bytes, holes not counted, and each file once, however many names it has."""
    wanted: int | None
    """Bytes of the whole model, where another node's offer says so; None where nothing is fetched from nodes."""


def stored_models(cache: Path) -> list[StoredModel]:
    """By name."""
    folders = (entry for entry in cache.glob(f"{PREFIX}*") if entry.is_dir()) if cache.is_dir() else ()
    return sorted((_stored(cache, folder) for folder in folders), key=lambda model: model.name)


def stored_model(cache: Path, name: str) -> StoredModel | None:
    folder = model_folder(cache, name)
    return _stored(cache, folder) if folder.is_dir() else None


def files_of(model: StoredModel) -> list[StoredFile]:
    """Those of the snapshots, and those that are being fetched."""
    places = [*model.folder.glob("snapshots/*/*"), *model.folder.glob(f"{PARTIAL}/*/files/*")]
    return [StoredFile(path, path.stat().st_size, _on_disk(path)) for path in sorted(places) if path.is_file()]


def remove_model(model: StoredModel) -> None:
    """Raises `OSError`."""
    shutil.rmtree(model.folder)


def _stored(cache: Path, folder: Path) -> StoredModel:
    name = folder.name.removeprefix(PREFIX).replace("--", "/")
    offers = begun_offers(cache, name)
    wanted = sum(file.size for file in offers[0].files) if offers else None
    return StoredModel(name, folder, sum(_by_inode(folder).values()), wanted)


def _by_inode(folder: Path) -> Mapping[tuple[int, int], int]:
    return {(stat.st_dev, stat.st_ino): stat.st_blocks * 512 for stat in (path.stat() for path in _files(folder))}


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _on_disk(path: Path) -> int:
    stat = path.stat()
    return min(stat.st_size, stat.st_blocks * 512)
