"""What a token costs, in time and bytes, over a network: daemons on a lab's gbit, 100mbit, wifi and badwifi links.

Three hosts: one has the whole model in one process, two have half of its blocks each. A client on the first and one on
the second ask in turn for the same streamed answer; the difference of the medians between tokens is what the hop to the
third costs. Bytes are counted at the third host's link: a long answer's less a short one's, over the tokens between.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[2]))

from chain_bench.tables import median, print_table, spread
from tests.lab.daemons import Daemons, RunningDaemon
from tests.lab.host import Host
from tests.lab.lan import PRESETS, Lan, why_not
from tests.lab.streams import WatchedStream

SHORT, LONG = 40, 240
"""Tokens of the answers that bytes are counted for."""
PLACES = (("--engine", "local"), ("--engine", "chain", "--blocks", "0:3"), ("--engine", "chain", "--blocks", "3:6"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--links", nargs="+", choices=sorted(PRESETS), default=list(PRESETS))
    parser.add_argument("--rounds", type=int, default=8, help="answers of each arm")
    parser.add_argument("--tokens", type=int, default=96, help="of each answer")


def run(arguments: argparse.Namespace) -> None:
    if reason := why_not():
        raise SystemExit(reason)
    rows, resources = [], []
    for preset in arguments.links:
        with tempfile.TemporaryDirectory() as folder, Lan(3, "user", preset) as lan, Daemons(Path(folder)) as daemons:
            started = time.monotonic()
            running = [
                daemons.start("--auto", "--model", "demo", *place, on=host)
                for place, host in zip(PLACES, lan.hosts, strict=True)
            ]
            for daemon in running:
                daemon.wait_until_ready(120)
            ready_s = time.monotonic() - started
            rows.append([preset, *_times(running, arguments), *_bytes(running[1], lan.hosts[2])])
            resources.append([preset, f"{ready_s:.1f}", *(_memory(daemon) for daemon in running)])
    print_table(
        [
            "links",
            "one process, ms a token",
            "one hop, ms a token",
            "ms a hop costs",
            "bytes a token",
            "packets a token",
        ],
        rows,
    )
    head = ["links", "all three ready after, s", "whole model: daemon + worker, MiB", "0:3, with libp2p's", "3:6, too"]
    print_table(head, resources)


def _times(running: list[RunningDaemon], arguments: argparse.Namespace) -> list[str]:
    gaps: tuple[list[float], list[float]] = [], []
    texts = set[str]()
    body = {"max_tokens": arguments.tokens, "temperature": 0}
    for number in range(arguments.rounds + 1):
        for daemon, times in zip(running[:2], gaps, strict=True):
            stream = WatchedStream(daemon, body).wait()
            texts.add(stream.text)
            if number:
                times.append(1000 * median([later.at - earlier.at for earlier, later in pairwise(stream.pieces)]))
    assert len(texts) == 1, texts
    return [*map(spread, gaps), f"{median(gaps[1]) - median(gaps[0]):.2f}"]


def _bytes(client: RunningDaemon, server: Host) -> list[str]:
    """Both ways, acknowledgements and what the two nodes say to each other beside it included."""
    counts = []
    for tokens in (SHORT, LONG):
        before = _counted(server)
        WatchedStream(client, {"max_tokens": tokens, "temperature": 0}).wait()
        counts.append([after - first for after, first in zip(_counted(server), before, strict=True)])
    return [f"{(of_long - of_short) / (LONG - SHORT):.0f}" for of_short, of_long in zip(*counts, strict=True)]


def _counted(host: Host) -> tuple[int, int]:
    (link,) = json.loads(host.network("ip", "-s", "-j", "link", "show", "eth0"))
    ways = link["stats64"]["rx"], link["stats64"]["tx"]
    return sum(way["bytes"] for way in ways), sum(way["packets"] for way in ways)


def _memory(daemon: RunningDaemon) -> str:
    """Resident, each process by itself: what they share counts in each."""
    processes = psutil.Process(daemon.process.pid).children(recursive=True)
    return " + ".join(f"{process.memory_info().rss / 2**20:.0f}" for process in processes)
