"""Can the data folder be used, and does a daemon use it?"""

from __future__ import annotations

import fcntl
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from swarm.doctor.finding import Finding, ok, problem


@dataclass(frozen=True, slots=True)
class FolderFacts:
    path: Path
    problem: str = ""
    """Why nothing can be written there; empty where it can."""
    is_in_use: bool = False
    holder: str = ""
    """Its process number, where it is known."""


def read_folder(path: Path, lock_name: str) -> FolderFacts:
    """Writes one file and takes it away again; makes no folder."""
    is_in_use, holder = _lock_holder(path / lock_name)
    return FolderFacts(path, _why_not_writable(path), is_in_use, holder)


def _why_not_writable(path: Path) -> str:
    try:
        if path.exists():
            with tempfile.TemporaryFile(dir=path) as file:
                file.write(b"\0")
            return ""
        parent = next(folder for folder in path.parents if folder.exists())
        if not parent.is_dir():
            return f"{parent} is not a folder"
        return "" if os.access(parent, os.W_OK | os.X_OK) else f"it cannot be made in {parent}: Permission denied"
    except OSError as error:
        return error.strerror or type(error).__name__


def _lock_holder(lock: Path) -> tuple[bool, str]:
    try:
        with lock.open("r+", encoding="ascii", errors="replace") as file:
            try:
                # Shared and let go at once: a daemon that starts in that moment would be the only one disturbed.
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True, file.read(20).strip()
            return False, ""
    except OSError:
        return False, ""


def judge_folder(facts: FolderFacts, daemon_answers: bool) -> Finding:
    holder = f"process {facts.holder}" if facts.holder.isdigit() else "a process"
    if facts.problem:
        fix = f'sudo chown -R "$(id -un)" {facts.path}\nor choose another folder: --data-dir FOLDER'
        return problem("data folder", f"nothing can be written to {facts.path}", facts.problem, fix)
    if facts.is_in_use and not daemon_answers:
        return problem(
            "data folder",
            f"{holder} holds {facts.path}, but no daemon answers for it: it is starting, stopping, or hung",
            "its lock is taken, and its API gives no answer",
            f"wait some seconds; then: kill {facts.holder or 'PID'}\nor choose another folder: --data-dir FOLDER",
        )
    if facts.is_in_use:
        return ok("data folder", f"{facts.path} is used by the daemon ({holder})")
    return ok("data folder", f"{facts.path} can be written, and no daemon uses it")
