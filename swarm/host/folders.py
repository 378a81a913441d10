"""The data folder: what a node keeps between its runs, and the lock that keeps a second daemon out of it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import platformdirs

from swarm.domain.errors import ConfigError
from swarm.host.files import set_aside, write_atomically

LOCK_NAME = "daemon.lock"
CHOOSE_ANOTHER = "choose another folder with --data-dir, or SWARM_HOST_DATA_DIR"


def resolve_data_dir(configured: str = "") -> Path:
    """The configured folder, or the system's place for a user's data."""
    chosen = configured or platformdirs.user_data_dir("local-swarm", appauthor=False)
    return Path(chosen).expanduser().absolute()


@dataclass(frozen=True, slots=True)
class DataFolder:
    path: Path

    @property
    def identity_path(self) -> Path:
        """The node's own key."""
        return self.path / "identity.pem"

    @property
    def chain_identity_path(self) -> Path:
        """The libp2p key; written by the worker."""
        return self.path / "chain-identity.key"

    @property
    def state_path(self) -> Path:
        """What the next start wants to know, such as the last model."""
        return self.path / "state.json"

    def read_json(self, name: str) -> dict[str, Any] | None:
        """None where the file is not there, or was damaged and set aside; `ConfigError` where it may not be read."""
        path = self.path / name
        try:
            value = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}; {CHOOSE_ANOTHER}") from None
        except (ValueError, RecursionError):
            set_aside(path, "not JSON")
            return None
        if not isinstance(value, dict):
            set_aside(path, "not a JSON object")
            return None
        return value

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Waits for the disk. Raises `OSError` where it is full."""
        write_atomically(self.path / name, json.dumps(value, indent=1).encode() + b"\n")


@contextmanager
def open_data_folder(path: Path) -> Iterator[DataFolder]:
    """Makes the folder where needed and holds its lock. Blocks for disk only; to be opened before the event loop runs.

    Raises `ConfigError` where the folder cannot be used, or another daemon uses it.
    """
    with _open_lock_file(path) as file:
        _lock(file, path)
        _sign(file)
        yield DataFolder(path)


def _open_lock_file(path: Path) -> IO[str]:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return (path / LOCK_NAME).open("a+", encoding="ascii", errors="replace")
    except OSError as error:
        raise ConfigError(f"the data folder {path} cannot be used: {error.strerror}; {CHOOSE_ANOTHER}") from None


def _lock(file: IO[str], path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(_in_use(path, file)) from None
    except OSError as error:
        raise ConfigError(f"the data folder {path} cannot be locked: {error.strerror}; {CHOOSE_ANOTHER}") from None


def _sign(file: IO[str]) -> None:
    """The pid is for the message to a second daemon only: the lock itself goes with the process, however it ends.

    Past the buffer of `file`, which would keep what a full disk refused and fail once more when it is closed.
    """
    with suppress(OSError):
        os.ftruncate(file.fileno(), 0)
        os.write(file.fileno(), f"{os.getpid()}\n".encode())


def _in_use(path: Path, file: IO[str]) -> str:
    file.seek(0)
    pid = file.read(20).strip()
    holder = f"another daemon (process {pid})" if pid.isdigit() else "another daemon"
    return f"{holder} uses the data folder {path}; stop it, or {CHOOSE_ANOTHER}"
