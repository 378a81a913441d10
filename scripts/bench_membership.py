"""How soon a swarm knows who is there, and how seldom it is wrong: on hosts of a LAN made of network namespaces.

    python scripts/bench_membership.py [--runs 30] [--only start,kill,…] [--parallel 2]

Nodes without a model (`tests/lab/member.py`): the daemon's own API, discovery, membership and probes. Each run has a
LAN of its own; with `--parallel` several at a time, which is honest only while there are cores to spare. Linux, root.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.lab import trials
from tests.lab.lan import why_not

MOST_JOINS, MOST_SPLITS = 10, 10
"""Of the runs that take a minute each."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: what was measured, and what the most of it may be."""

    measured: str
    what: str
    limit: float
    at: str = "max"
    """`max`, or `p95`: which of the measured ones is held against the limit."""
    is_count: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    runs: int
    run: Callable[[], trials.Seconds]
    rows: tuple[Row, ...]


def parts(options: argparse.Namespace) -> tuple[Part, ...]:
    return (*coming(options), *going(options), *staying(options))


def coming(options: argparse.Namespace) -> tuple[Part, ...]:
    joins = min(options.runs, MOST_JOINS)
    listed = "three started together: own ready to both others alive"
    found = f"joined during a cut of {options.cut_s:g} s: heal to all listed"
    return (
        Part("start", options.runs, partial(trials.start_together, None), (Row("listed", listed, 1.0, "p95"),)),
        Part(
            "start-badwifi",
            options.runs,
            partial(trials.start_together, "badwifi"),
            (Row("listed", f"{listed}, bad Wi-Fi", 3.0, "p95"),),
        ),
        Part("join", joins, partial(trials.join_during_a_cut, options.cut_s), (Row("found", found, 30.0),)),
    )


def going(options: argparse.Namespace) -> tuple[Part, ...]:
    back = Row("back", "killed and started again: own ready to one row alive", 2.0)
    same = Row("same id", "killed and started again: another id", 0, is_count=True)
    heal, wake = Row("back", "cut: heal to alive again", 30.0), Row("back", "SIGSTOP: SIGCONT to alive again", 2.0)
    splits = min(options.runs, MOST_SPLITS)
    return (
        Part("stop", options.runs, partial(trials.fault, "stop"), leaving("clean stop", 0.5)),
        Part("kill", options.runs, partial(trials.fault, "kill"), (*leaving("kill -9", 2.0), back, same)),
        Part("cut", options.runs, partial(trials.fault, "cut"), (*leaving("cut at the switch", 5.5), heal)),
        Part("off", options.runs, partial(trials.fault, "off"), leaving("host powered off", 5.5)),
        Part("freeze", options.runs, partial(trials.fault, "freeze"), (*leaving("SIGSTOP", 5.5), wake)),
        Part(
            "split",
            splits,
            partial(trials.split, options.split_s),
            (
                Row("gone", "2 + 2 cut apart: gone from the other half", 5.5),
                Row("torn", "2 + 2 cut apart: halves not whole in themselves", 0, is_count=True),
                Row("one", f"2 + 2 cut apart for {options.split_s:g} s: heal to all alive", 5.0),
            ),
        ),
    )


def leaving(what: str, limit_s: float) -> tuple[Row, Row]:
    return Row("suspect", f"{what}: no longer alive", min(2.5, limit_s)), Row("gone", f"{what}: gone", limit_s)


def staying(options: argparse.Namespace) -> tuple[Part, ...]:
    loss, busy, sleep = options.minutes, options.busy_minutes, options.sleep_s
    deaths = partial(Row, "deaths", limit=0, is_count=True)
    suspicions = partial(Row, "suspicions", limit=math.inf, is_count=True)
    return (
        Part(
            "loss",
            1,
            partial(trials.false_deaths_under_loss, loss),
            (
                deaths(what=f"false deaths, 3 hosts, 10 % loss, {loss:g} min"),
                suspicions(what="the same: suspicions that passed"),
            ),
        ),
        Part(
            "busy",
            1,
            partial(trials.false_deaths_while_busy, busy),
            (
                deaths(what=f"false deaths, 3 hosts, all cores busy, {busy:g} min"),
                suspicions(what="the same: suspicions that passed"),
            ),
        ),
        Part(
            "sleep",
            1,
            partial(trials.false_deaths_after_sleep, sleep),
            (
                deaths(what=f"false deaths by an observer that slept {sleep:g} s"),
                Row("back", "the same: wake to all alive", 6.0),
            ),
        ),
    )


def measure(part: Part, parallel: int) -> trials.Seconds:
    """All runs of a part, put together."""
    with ThreadPoolExecutor(parallel) as pool:
        runs = list(pool.map(lambda _: part.run(), range(part.runs)))
    return {row.measured: [value for run in runs for value in run.get(row.measured, [])] for row in part.rows}


def line(row: Row, values: Sequence[float]) -> str:
    if row.is_count:
        count = sum(not math.isfinite(value) or value for value in values)
        target, shown, held = f"{row.limit:g}", f"{count:g}", count
    else:
        target, shown, held = f"{row.at} ≤ {row.limit:g} s", spread(values), quantile(values, row)
    if math.isinf(row.limit):
        target = "–"
    return f"| {row.what} | {target} | {shown} | {'yes' if held <= row.limit else '**no**'} |"


def spread(values: Sequence[float]) -> str:
    known = [value for value in values if math.isfinite(value)]
    never = f", never: {len(values) - len(known)}" if len(known) < len(values) else ""
    if not known:
        return f"nothing{never}"
    p50, p95 = statistics.median(known), percentile(known, 0.95)
    return f"{p50:.2f} / {p95:.2f} / {max(known):.2f} s of {len(values)}{never}"


def quantile(values: Sequence[float], row: Row) -> float:
    return percentile(values, 0.95 if row.at == "p95" else 1.0)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that this share of them does not exceed; infinite where there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.inf


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument(
        "--only", default="", help="parts, by comma: start, start-badwifi, join, stop, kill, cut, off, …"
    )
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=30.0, help="of 10 %% loss")
    parser.add_argument("--busy-minutes", type=float, default=3.0)
    parser.add_argument("--sleep-s", type=float, default=120.0)
    parser.add_argument("--cut-s", type=float, default=40.0)
    parser.add_argument("--split-s", type=float, default=30.0)
    options = parser.parse_args()
    names = {part.name for part in parts(options)}
    unknown = set(filter(None, options.only.split(","))) - names
    if unknown:
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(sorted(names))}")
    return options


def main() -> None:
    options = read_options()
    reason = why_not()
    if reason:
        raise SystemExit(f"no LAN can be built here: {reason}")
    only = set(filter(None, options.only.split(",")))
    chosen = [part for part in parts(options) if not only or part.name in only]
    print("| what | target | measured (p50 / p95 / max) | met |\n| --- | --- | --- | --- |")
    for part in chosen:
        started = time.monotonic()
        measured = measure(part, options.parallel)
        for row in part.rows:
            print(line(row, measured[row.measured]), flush=True)
        print(f"{part.name}: {part.runs} runs, {time.monotonic() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
