"""Hosts started in the same second form one chain: how soon, how often, and with which blocks."""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chain_bench.tables import print_table
from tests.lab.daemons import Daemons, RunningDaemon
from tests.lab.lan import Lan

TARGET_S = 15.0
GIVE_UP_S = 240.0
SETTLE_S = 30.0
BLOCKS = 6
MEMORY = {1: "1.5MiB", 2: "2.6MiB", 3: "3.6MiB", 4: "4.6MiB"}
"""Limits that let so many of the demo model's six blocks fit."""
CASES = {2: (3, 3), 3: (2, 2, 2), 4: (3, 3, 3, 3)}
"""Blocks that fit on each of so many hosts: the first two cover the model just once, the last one twice."""
SERVING, MOVED = "  serving    blocks", "other blocks need this node more"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--hosts", type=int, nargs="+", default=[2, 3, 4], choices=sorted(CASES))
    parser.add_argument("--preset", help="links of tests/lab/lan.py; the kernel's bridge where it is not given")


@dataclass(frozen=True, slots=True)
class Trial:
    formed_s: float
    """From the last one having loaded its weights until all answer; infinite where they never did."""
    started_s: float
    """From the start of the daemons until all answer."""
    moves: int
    """Nodes that had to take other blocks than those they had promised."""
    least: int
    """Nodes that serve the block with the fewest, by all nodes' account."""
    same_text: bool


def run(arguments: argparse.Namespace) -> None:
    rows = []
    for hosts in arguments.hosts:
        trials = []
        for number in range(arguments.runs):
            trials.append(trial(CASES[hosts], arguments.preset))
            print(f"{hosts} hosts, run {number + 1}: {trials[-1]}", file=sys.stderr, flush=True)
        rows.append(_row(hosts, trials))
    head = ["hosts", "formed within 15 s", "formed p50 / max", "since start p50 / max", "each block served", "moves"]
    print_table(head, rows)


def _row(hosts: int, trials: Sequence[Trial]) -> list[str]:
    good = sum(trial.formed_s <= TARGET_S and trial.same_text for trial in trials)
    return [
        f"{hosts} ({' + '.join(map(str, CASES[hosts]))} of 6 blocks fit)",
        f"{good} of {len(trials)}",
        _spread([trial.formed_s for trial in trials]),
        _spread([trial.started_s for trial in trials]),
        f"{min(trial.least for trial in trials)} times at least",
        str(sum(trial.moves for trial in trials)),
    ]


def _spread(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    return f"{ordered[len(ordered) // 2]:.1f} / {ordered[-1]:.1f} s"


def trial(fitting: Sequence[int], preset: str | None) -> Trial:
    """Fresh hosts, folders and identities; everything is gone afterwards."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Lan(len(fitting), "user" if preset else "bridge", preset) as lan,
        Daemons(Path(folder)) as daemons,
    ):
        started_at = time.monotonic()
        nodes = [
            daemons.start("--model", "demo", "--memory", MEMORY[blocks], on=host)
            for blocks, host in zip(fitting, lan.hosts, strict=True)
        ]
        ready_at = [math.inf] * len(nodes)
        waiting = [threading.Thread(target=_wait, args=(node, index, ready_at)) for index, node in enumerate(nodes)]
        for thread in waiting:
            thread.start()
        loaded_at = _when_loaded(nodes)
        for thread in waiting:
            thread.join(GIVE_UP_S)
        all_at = max(ready_at)
        if all_at == math.inf:
            print("\n".join(node.log for node in nodes), file=sys.stderr)
            return Trial(math.inf, math.inf, 0, 0, same_text=False)
        asked = {"prompt": "12 + 30 - 7 = ", "max_tokens": 32, "temperature": 0}
        texts = {node.post("/v1/completions", asked)["choices"][0]["text"] for node in nodes}
        least = _least_served(nodes, sum(fitting) // BLOCKS)
        moves = sum(node.log.count(MOVED) for node in nodes)
        formed_s = max(0.0, all_at - loaded_at)
        return Trial(formed_s, all_at - started_at, moves, least, len(texts) == 1)


def _least_served(nodes: Sequence[RunningDaemon], wanted: int) -> int:
    """As soon as all know of `wanted`, or else after a while: who serves what is read every five seconds."""
    give_up = time.monotonic() + SETTLE_S
    while True:
        least = min(node.get("/health")["coverage"]["least_served"] for node in nodes)
        if least >= wanted or time.monotonic() > give_up:
            return int(least)
        time.sleep(0.5)


def _wait(node: RunningDaemon, index: int, ready_at: list[float]) -> None:
    with contextlib.suppress(AssertionError):
        node.wait_until_ready(GIVE_UP_S)
        ready_at[index] = time.monotonic()


def _when_loaded(nodes: Sequence[RunningDaemon]) -> float:
    """When the last of them said what it serves."""
    give_up = time.monotonic() + GIVE_UP_S
    while time.monotonic() < give_up:
        if all(SERVING in node.log for node in nodes):
            return time.monotonic()
        time.sleep(0.05)
    return math.inf
