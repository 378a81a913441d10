"""What the README tells people to type is run as it stands, against a daemon; only the address is another."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from tests.lab.daemons import ROOT, Daemons

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]
BLOCK = re.compile(r"<!-- run: (\w+) -->\n\n((?:    .*\n|\n)+)")
ADDRESS = "http://192.168.1.20:17615"
CLIENTS = ROOT / ".clients"


def blocks() -> Mapping[str, str]:
    return {name: dedent(text) for name, text in BLOCK.findall((ROOT / "README.md").read_text())}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Daemons(tmp_path_factory.mktemp("readme")) as daemons:
        daemon = daemons.start("--model", "demo", "--host", "127.0.0.1", "--no-mdns", "--port", "0").wait_until_ready()
        yield daemon.url.removesuffix("/v1")
        daemon.stop()


def client(name: str) -> Path:
    folder = CLIENTS / name
    if not (folder / "installed").exists():
        pytest.skip(f"{name} is not installed; `make clients` does it")
    return folder


def output(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def written(block: str, address: str, path: Path) -> Path:
    text = blocks()[block]
    assert ADDRESS in text
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.replace(ADDRESS, address))
    return path


def test_every_block_is_run() -> None:
    assert set(blocks()) == {"curl", "python", "node", "llm"}


def test_curl(address: str, tmp_path: Path) -> None:
    assert '"finish_reason": "stop"' in output("bash", written("curl", address, tmp_path / "ask.sh"))


def test_python(address: str, tmp_path: Path) -> None:
    program = written("python", address, tmp_path / "ask.py")
    assert output(client("openai") / "bin" / "python", program).strip()


def test_node(address: str, tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    (tmp_path / "node_modules").symlink_to(client("node") / "node_modules")
    assert output("node", written("node", address, tmp_path / "ask.mjs")).strip()


def test_llm(address: str, tmp_path: Path) -> None:
    written("llm", address, tmp_path / "extra-openai-models.yaml")
    said = output(client("llm") / "bin" / "llm", "-m", "swarm", "What is 2 + 3?", LLM_USER_PATH=str(tmp_path))
    assert said.strip()
