"""Installs the third-party clients that tests run, each in an environment of its own: `.clients/NAME`.

    python scripts/set_up_clients.py

What is there already stays; some are installed at a time. A client that cannot be installed here is told, with what pip
or npm said, and its tests are skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / "tests" / "clients" / "environments.toml"
FOLDER = ROOT / ".clients"
DONE = "installed"
MOST_AT_A_TIME = 4
# Bytecode is made for the modules that a test imports, when it does: pip would compile some thousands that none does.
PIP_INSTALL = ("install", "--quiet", "--disable-pip-version-check", "--no-compile")


class CannotInstallError(Exception):
    """What the installer said."""


def set_up_python(packages: Sequence[str], folder: Path) -> None:
    """One pip, this interpreter's, fills all environments: to make another in each takes longer than most installs."""
    _run([sys.executable, "-m", "venv", "--without-pip", str(folder)])
    _run([sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), *PIP_INSTALL, *packages])


def set_up_node(packages: Mapping[str, str], folder: Path) -> None:
    if shutil.which("npm") is None:
        raise CannotInstallError("npm is not installed")
    folder.mkdir(parents=True)
    about = {"name": "clients", "private": True, "type": "module", "dependencies": dict(packages)}
    (folder / "package.json").write_text(json.dumps(about))
    _run(["npm", "install", "--no-audit", "--no-fund", "--silent"], folder)


def set_up(name: str, fill: Callable[[Path], None]) -> str:
    """How it went, in a line or more."""
    folder = FOLDER / name
    if (folder / DONE).exists():
        return f"{name}: ready"
    started = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    try:
        fill(folder)
    except CannotInstallError as error:
        return f"{error}\n{name}: could not be installed; its tests are skipped"
    (folder / DONE).touch()
    return f"{name}: ready, installed in {time.monotonic() - started:.0f} s"


def _run(command: Sequence[str], folder: Path = ROOT) -> None:
    done = subprocess.run(command, cwd=folder, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise CannotInstallError(f"{' '.join(command)}\n{done.stdout.strip()}")


def main() -> int:
    wanted = tomllib.loads(ENVIRONMENTS.read_text())
    jobs = {name: partial(set_up_python, packages) for name, packages in wanted["python"].items()}
    jobs["node"] = partial(set_up_node, wanted["node"])
    with ThreadPoolExecutor(min(MOST_AT_A_TIME, os.cpu_count() or 1)) as pool:
        for done in as_completed([pool.submit(set_up, name, fill) for name, fill in jobs.items()]):
            print(done.result(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
