"""What a hop costs over a network, in time and bytes: daemons on the lab's gbit, 100mbit, wifi and badwifi links.

Two machines have half of the blocks each; asked are one without blocks (two hops) and the first of the two (one hop),
beside one with the whole model on a LAN of its own (no hop), an answer each in turn. An answer that came by any other
route, or with another text, ends the benchmark. Bytes are counted at the machines' interfaces from an answer's first
piece to its end, less what the machines say in as much time when nobody asks.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from chain_bench.checkpoints import Model, add_model_arguments, chosen_models
from chain_bench.links_site import Asked, Site, Traffic, open_site
from chain_bench.tables import median, print_table, spread
from tests.lab.lan import PRESETS, why_not

IDLE_S = 15.0
"""Three announcements of the chain; measured before and after the answers."""
COUNTED, COUNTED_S = "two hops", 20.0
"""Bytes are counted for at least so long: what nodes say to each other beside it comes in bursts."""
NUMBER_BYTES = 4
"""float32."""
HEADER_BYTES = 66
"""Of a frame: Ethernet 14, IP 20, TCP 20 and its timestamps 12."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--links", nargs="+", choices=sorted(PRESETS), default=list(PRESETS))
    parser.add_argument("--rounds", type=int, default=5, help="answers of each arm")
    parser.add_argument("--tokens", type=int, default=96, help="of each answer")
    add_model_arguments(parser, ("demo",))


@dataclass(slots=True)
class Measured:
    """On one kind of link."""

    idle: Traffic
    """A second, of all machines."""
    answers: dict[str, list[Asked]]
    """By arm."""
    counted: list[Asked]
    """Of `COUNTED`."""
    echo_ms: list[float]

    def token_ms(self, way: str) -> list[float]:
        return [asked.token_ms for asked in self.answers[way]]

    def token_traffic(self) -> Traffic:
        """Of all machines, a token."""
        sent = Traffic(sum(each.sent.bytes for each in self.counted), sum(each.sent.packets for each in self.counted))
        seconds, tokens = sum(each.seconds for each in self.counted), sum(each.tokens for each in self.counted)
        return (sent - self.idle * seconds) * (1 / tokens)


def run(arguments: argparse.Namespace) -> None:
    if reason := why_not():
        raise SystemExit(reason)
    with tempfile.TemporaryDirectory(prefix="chain-bench-") as folder:
        for model in chosen_models(arguments, Path(folder)):
            _measure_model(model, arguments)


def _measure_model(model: Model, arguments: argparse.Namespace) -> None:
    times, counts, starts = [], [], []
    memory: dict[str, list[list[float]]] = {}
    for link in arguments.links:
        with open_site(link, model) as site:
            measured = _measure(site, arguments)
            times += _times(link, site, measured)
            counts.append(_counts(link, site, measured))
            starts.append([link, f"{site.serving_s:.1f}", f"{site.client_s:.1f}"])
            for name, held in site.resident_mib().items():
                memory.setdefault(name, []).append(held)
        print(model.what, times[-len(site.ways) :], counts[-1], starts[-1], sep="\n", file=sys.stderr, flush=True)
    print(f"{model.what}\n")
    head = ["link", "asked", "ms a token, median of answers (quartiles)", "over one process", "ms a hop costs"]
    print_table([*head, "TCP echo of the same bytes, ms", "the rest, ms"], times)
    head = ["link", "bytes a token and hop", "hidden states", "Ethernet, IP, TCP", "the rest", "frames"]
    print_table([*head, "idle, kB/s a machine"], counts)
    print_table(["link", "two servers ready after, s", "client started to first answer, s"], starts)
    _print_memory(memory)


def _measure(site: Site, arguments: argparse.Namespace) -> Measured:
    for way in site.ways.values():  # The whole model first: the others must say the same.
        site.ask(way, arguments.tokens)
    idle = [site.idle(IDLE_S)]
    answers: dict[str, list[Asked]] = {name: [] for name in site.ways}
    echo_ms = []
    for _ in range(arguments.rounds):
        for name, way in site.ways.items():
            answers[name].append(site.ask(way, arguments.tokens))
        echo_ms.append(site.echo_ms(arguments.tokens))
    counted = [*answers[COUNTED]]
    while sum(each.seconds for each in counted) < COUNTED_S:
        counted.append(site.ask(site.ways[COUNTED], arguments.tokens))
    idle.append(site.idle(IDLE_S))
    return Measured((idle[0] + idle[1]) * 0.5, answers, counted, echo_ms)


def _times(link: str, site: Site, measured: Measured) -> list[list[str]]:
    base, echo = median(measured.token_ms("one process")), median(measured.echo_ms)
    rows = []
    for name, way in site.ways.items():
        values = measured.token_ms(name)
        row = [link, name, spread(values), f"{median(values) / base:.2f}"]
        if way.hops:
            cost = (median(values) - base) / way.hops
            row += [f"{cost:.2f}", spread(measured.echo_ms), f"{cost - echo:.2f}"]
        rows.append(row + [""] * (7 - len(row)))
    return rows


def _counts(link: str, site: Site, measured: Measured) -> list[str]:
    hop = measured.token_traffic() * (1 / site.ways[COUNTED].hops)
    tensors, headers = 2 * site.model.hidden * NUMBER_BYTES, hop.packets * HEADER_BYTES
    parts = (hop.bytes, tensors, headers, hop.bytes - tensors - headers)
    idle = measured.idle.bytes / len(site.lan.hosts)
    return [link, *(f"{part:.0f}" for part in parts), f"{hop.packets:.1f}", f"{idle / 1000:.1f}"]


def _print_memory(memory: dict[str, list[list[float]]]) -> None:
    """The median over the links."""
    what = {"one process": "all blocks", "one hop": "half of the blocks", "two hops": "no block"}
    rows = [
        [what[name], *(f"{median(values):.0f}" for values in zip(*held, strict=True))] for name, held in memory.items()
    ]
    print_table(["node with", "daemon, MiB resident", "worker", "libp2p's daemon"], rows)
