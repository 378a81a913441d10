"""Installs the third-party clients that tests run, each in an environment of its own: `.clients/NAME`.

    python scripts/set_up_clients.py

What is there already stays. A client that cannot be installed here is told, and its tests are skipped.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / "tests" / "clients" / "environments.toml"
FOLDER = ROOT / ".clients"
DONE = "installed"


def set_up_python(name: str, packages: Sequence[str]) -> bool:
    folder = FOLDER / name
    if (folder / DONE).exists():
        return True
    shutil.rmtree(folder, ignore_errors=True)
    made = _run([sys.executable, "-m", "venv", str(folder)])
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    return made and _run(pip) and _mark(folder)


def set_up_node(packages: Mapping[str, str]) -> bool:
    folder = FOLDER / "node"
    if (folder / DONE).exists():
        return True
    if shutil.which("npm") is None:
        print("node: npm is not installed")
        return False
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    about = {"name": "clients", "private": True, "type": "module", "dependencies": dict(packages)}
    (folder / "package.json").write_text(json.dumps(about))
    return _run(["npm", "install", "--no-audit", "--no-fund", "--silent"], folder) and _mark(folder)


def _run(command: Sequence[str], folder: Path = ROOT) -> bool:
    return subprocess.run(command, cwd=folder, check=False).returncode == 0


def _mark(folder: Path) -> bool:
    (folder / DONE).touch()
    return True


def main() -> int:
    wanted = tomllib.loads(ENVIRONMENTS.read_text())
    done = {name: set_up_python(name, packages) for name, packages in wanted["python"].items()}
    done["node"] = set_up_node(wanted["node"])
    for name, is_there in done.items():
        print(f"{name}: {'ready' if is_there else 'could not be installed; its tests are skipped'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
