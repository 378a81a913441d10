"""A model folder on one host is enough for all: the others have empty caches and no route but to each other."""

import os
from pathlib import Path

import pytest

from tests.fakes.checkpoints import make_small_llama
from tests.lab.daemons import Daemons, RunningDaemon
from tests.lab.lan import Host, Lan

pytestmark = pytest.mark.cluster
ASKED = {"prompt": "12 + 30 - 7 = ", "max_tokens": 16, "temperature": 0}
NAME = "made-up"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_small_llama(tmp_path_factory.mktemp("models") / NAME, layers=8)


def start(daemons: Daemons, root: Path, host: Host, *arguments: str, rate_mbit: float = 0) -> RunningDaemon:
    """With a hub cache of its own."""
    data = root / host.name
    data.mkdir(exist_ok=True)
    (data / "config.toml").write_text(
        f'[engine]\nhub_cache = "{cache_of(root, host)}"\n[weights]\nrate_limit_mbit = {float(rate_mbit)}\n'
    )
    return daemons.start("--auto", *arguments, on=host, name=host.name)


def cache_of(root: Path, host: Host) -> Path:
    return root / f"{host.name}-hub"


def answer(daemon: RunningDaemon) -> str:
    return str(daemon.post("/v1/completions", ASKED)["choices"][0]["text"])


def disk_bytes(path: Path) -> int:
    return os.stat(path).st_blocks * 512


def test_a_node_fetches_only_the_blocks_that_it_serves(
    lan: Lan, daemons: Daemons, tmp_path: Path, folder: Path
) -> None:
    first, second = lan.hosts
    a = start(daemons, tmp_path, first, "--model", str(folder), "--blocks", "0:5")
    b = start(daemons, tmp_path, second, "--model", NAME, "--blocks", "5:8")
    for daemon in (a, b):
        daemon.wait_until_ready()
    assert answer(a) == answer(b)
    (held,) = cache_of(tmp_path, second).glob(f"models--{NAME}/swarm/*/files/model.safetensors")
    assert held.stat().st_size == (folder / "model.safetensors").stat().st_size
    assert disk_bytes(held) < 0.8 * held.stat().st_size
    assert not list(cache_of(tmp_path, second).glob(f"models--{NAME}/snapshots/*/model.safetensors"))
    for daemon in (a, b):
        daemon.stop()


@pytest.mark.lan(hosts=3)
def test_a_newcomer_joins_the_model_of_the_swarm_though_a_source_dies_and_keeps_it(
    lan: Lan, daemons: Daemons, tmp_path: Path, folder: Path
) -> None:
    first, second, third = lan.hosts
    sources = [
        start(daemons, tmp_path, host, "--model", str(folder), rate_mbit=40).wait_until_ready()
        for host in (first, second)
    ]
    expected = answer(sources[0])
    newcomer = start(daemons, tmp_path, third)
    newcomer.wait_until_logged("weights are fetched")
    lan.power_off(first)
    newcomer.wait_until_ready()
    assert answer(newcomer) == expected
    sources[1].stop()
    newcomer.stop()
    again = start(daemons, tmp_path, third).wait_until_ready()
    assert answer(again) == expected
    assert "weights are fetched" not in again.log
    again.stop()
