"""Programs that people use already, unchanged, against one daemon. `make clients` installs them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.lab.daemons import ROOT, Daemons

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]
PROGRAMS = ROOT / "tests" / "clients" / "programs"
CLIENTS = ROOT / ".clients"
LIMIT_S = 200.0


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Daemons(tmp_path_factory.mktemp("clients")) as daemons:
        daemon = daemons.start("--model", "demo", "--host", "127.0.0.1", "--no-mdns", "--port", "0").wait_until_ready()
        yield daemon.url
        daemon.stop()


def run(command: Sequence[str | Path], folder: Path) -> None:
    """It asserts by itself; its last words are told where it failed."""
    environment = {**os.environ, "OPENAI_API_KEY": "none", "NO_COLOR": "1"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


@pytest.mark.parametrize("name", ["openai", "tools", "litellm", "langchain", "instructor", "agents"])
def test_a_python_client(name: str, url: str) -> None:
    folder = CLIENTS / ("openai" if name == "tools" else name)
    if not (folder / "installed").exists():
        pytest.skip(f"{folder.name} is not installed; `make clients` does it")
    run([folder / "bin" / "python", PROGRAMS / f"{name}_python.py", url], folder)


@pytest.mark.parametrize("name", ["openai", "ai_sdk"])
def test_a_node_client(name: str, url: str, tmp_path: Path) -> None:
    folder = CLIENTS / "node"
    if shutil.which("node") is None or not (folder / "installed").exists():
        pytest.skip("the clients for Node are not installed; `make clients` does it")
    # Node looks for packages beside the program.
    program = tmp_path / f"{name}_node.mjs"
    shutil.copy(PROGRAMS / program.name, program)
    (tmp_path / "node_modules").symlink_to(folder / "node_modules")
    run(["node", program, url], tmp_path)
