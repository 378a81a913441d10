"""Files that are whole or not there: written atomically, and set aside where they cannot be read."""

from __future__ import annotations

import logging
import os
import tempfile
from itertools import count
from pathlib import Path

logger = logging.getLogger(__name__)


def write_atomically(path: Path, data: bytes) -> None:
    """Readable by the owner only. After a crash or a power cut the file is the old one or the new one, never a part."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    # The new name is in the folder, which has to reach the disk as well.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def set_aside(path: Path, problem: str) -> Path:
    """Renames a file that cannot be read to the first free `<name>.corrupt-N`, for people to look at."""
    kept = next(name for n in count(1) if not (name := path.with_name(f"{path.name}.corrupt-{n}")).exists())
    path.rename(kept)
    fields = {"path": str(path), "kept_as": str(kept), "problem": problem}
    logger.warning("a damaged file was set aside", extra={"fields": fields})
    return kept
