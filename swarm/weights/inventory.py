"""Which models lie in the hub's cache, how much of them, and where. All functions block.

Other processes may fetch and remove meanwhile: what is gone when it is looked at does not count."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

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
    """None for a name that is not spelled as it is listed, too: `a--b` is not `a/b`, although they share a folder."""
    folder = model_folder(cache, name)
    with contextlib.suppress(OSError):  # too long for the name of a folder
        if folder.is_dir() and (found := _stored(cache, folder)).name == name:
            return found
    return None


def files_of(model: StoredModel) -> list[StoredFile]:
    """Those of the snapshots, and those that are being fetched."""
    places = [*model.folder.glob("snapshots/*/*"), *model.folder.glob(f"{PARTIAL}/*/files/*")]
    return [file for path in sorted(places) if (file := _stored_file(path)) is not None]


def remove_model(model: StoredModel) -> None:
    """The snapshots first: what is left of it where this is broken off is taken for a model by nobody. Raises
    `OSError`."""
    for folder in (model.folder / "snapshots", model.folder):
        shutil.rmtree(folder, onerror=_unless_gone)


def _unless_gone(
    _function: object, _path: str, caught: tuple[type[BaseException], BaseException, TracebackType]
) -> None:
    if not isinstance(caught[1], FileNotFoundError):
        raise caught[1]


def _stored(cache: Path, folder: Path) -> StoredModel:
    name = folder.name.removeprefix(PREFIX).replace("--", "/")
    offers = begun_offers(cache, name)
    wanted = sum(file.size for file in offers[0].files) if offers else None
    by_inode = {(file.st_dev, file.st_ino): file.st_blocks * 512 for file in _files(folder)}
    return StoredModel(name, folder, sum(by_inode.values()), wanted)


def _files(folder: Path) -> Iterator[os.stat_result]:
    """Links are none."""
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                file = os.lstat(os.path.join(place, name))
                if stat.S_ISREG(file.st_mode):
                    yield file


def _stored_file(path: Path) -> StoredFile | None:
    with contextlib.suppress(FileNotFoundError):
        file = path.stat()
        if stat.S_ISREG(file.st_mode):
            return StoredFile(path, file.st_size, min(file.st_size, file.st_blocks * 512))
    return None
