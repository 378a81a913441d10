"""Weights over the LAN: the rate of fetching as a share of a plain TCP copy, with deaths and lies among the sources."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chain_bench.tables import median, print_table
from tests.lab.lan import Host, Lan

END = str(Path(__file__).with_name("weights_end.py"))
MIB = 2**20
TBF = {"gbit": "940mbit", "100mbit": "94mbit"}
"""Shaped by the kernel at both ends of each cable; the switch of Python forwards too little for a gigabit."""
WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Source:
    host: Host
    process: subprocess.Popen[str]

    @property
    def name(self) -> str:
        return f"{self.host.name}={self.host.address}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--links", nargs="+", default=["gbit", "100mbit", "wifi"], choices=["gbit", "100mbit", "wifi"])
    parser.add_argument("--mib", type=int, default=512, help="size of the model on a gigabit; a quarter elsewhere")
    parser.add_argument("--rounds", type=int, default=3)


def run(arguments: argparse.Namespace) -> None:
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory(prefix="bench-weights-") as root:
        for link in arguments.links:
            size = arguments.mib * MIB // (1 if link == "gbit" else 4)
            folder = make_checkpoint(Path(root) / link, size)
            rows += [row for _ in range(arguments.rounds) for row in measure(link, folder, Path(root))]
    print_table(("link", "sources", "plain copy, MiB/s", "fetched, MiB/s", "share of the plain copy"), summed(rows))


def summed(rows: Sequence[Sequence[Any]]) -> list[list[str]]:
    """Rows of the same link and sources as one, by the median of their rounds."""
    kinds = dict.fromkeys((row[0], row[1]) for row in rows)
    lines = []
    for kind in kinds:
        same = [row for row in rows if (row[0], row[1]) == kind]
        plain, fetched, share = (median([row[place] for row in same]) for place in (2, 3, 4))
        lines.append([*kind, f"{plain:.1f}", f"{fetched:.1f}", f"{share:.0%}"])
    return lines


def make_checkpoint(folder: Path, size: int) -> Path:
    """Random bytes behind a header: nobody computes with them."""
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    header = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    with (folder / WEIGHTS).open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))
    return folder


def measure(link: str, folder: Path, root: Path) -> Iterator[list[Any]]:
    """One round: plain and fetched from one source, then from two of which one dies, lies, or does neither."""
    for what in ("one", "two", "two, one is switched off in the middle", "two, one sends a corrupted byte"):
        with lan_of(link) as lan:
            newcomer, *hosts = lan.hosts
            count = 1 if what == "one" else 2
            sources = [start_source(host, folder, corrupt=number == 0 and "corrupted" in what)
                       for number, host in enumerate(hosts[:count])]  # fmt: skip
            plain = ended(start_end(newcomer, "plain", hosts[0].address))
            target = root / "fetched"
            names = [source.name for source in sources]
            fetching = start_end(newcomer, "fetch", str(target), str("corrupted" in what), *names)
            if "switched off" in what:
                wait_until_fetched(target, folder, 0.3)
                lan.power_off(hosts[0])
            fetched = ended(fetching)
            if not same(target, folder):
                raise RuntimeError("what was fetched is not what was offered")
            shutil.rmtree(target)
            yield [link, what, plain["mib_s"], fetched["mib_s"], fetched["mib_s"] / plain["mib_s"]]
            print(link, what, plain, fetched, file=sys.stderr, flush=True)


@contextlib.contextmanager
def lan_of(link: str) -> Iterator[Lan]:
    if link not in TBF:
        with Lan(3, switch="user", preset=link) as lan:
            yield lan
        return
    with Lan(3) as lan:
        for host in lan.hosts:
            host.network(*f"tc qdisc add dev eth0 root tbf rate {TBF[link]} burst 256k latency 50ms".split())
        yield lan


def start_source(host: Host, folder: Path, *, corrupt: bool) -> Source:
    process = start_end(host, "source", str(folder), host.address, host.name, str(corrupt))
    assert process.stdout is not None
    if process.stdout.readline().strip() != "ready":
        raise RuntimeError(f"the source on {host.name} did not start")
    return Source(host, process)


def start_end(host: Host, *arguments: str) -> subprocess.Popen[str]:
    return host.start(sys.executable, END, *arguments, stdout=subprocess.PIPE)


def ended(process: subprocess.Popen[str]) -> dict[str, float]:
    output, _ = process.communicate(timeout=400)
    result: dict[str, float] = json.loads(output.splitlines()[-1])
    return result


def wait_until_fetched(target: Path, folder: Path, share: float) -> None:
    import time

    wanted = (folder / WEIGHTS).stat().st_size * share
    while sum(file.stat().st_blocks * 512 for file in target.glob(f"models--*/swarm/*/files/{WEIGHTS}")) < wanted:
        time.sleep(0.02)


def same(target: Path, folder: Path) -> bool:
    (snapshot,) = target.glob(f"models--*/snapshots/*/{WEIGHTS}")
    return subprocess.run(["cmp", "-s", str(snapshot.resolve()), str(folder / WEIGHTS)], check=False).returncode == 0
