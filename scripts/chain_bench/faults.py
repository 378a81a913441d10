"""How long a stream stands still when a serving machine is killed, frozen or cut off, and whether its text changes.

Daemons in network namespaces: a client without blocks, and servers so that every block is served twice (0:6, 0:3 and
3:6). Each trial streams one of eight requests, greedy and seeded alternately, and harms one of the machines that serve
it after a random number of pieces; the text is compared with the one that came undisturbed.
"""

from __future__ import annotations

import argparse
import random
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from chain_bench.tables import print_table
from tests.lab.daemons import Daemons, RunningDaemon, wait_until
from tests.lab.host import Host
from tests.lab.lan import Lan, why_not
from tests.lab.streams import WatchedStream

FAULTS = ("kill", "freeze", "cut")
WORDS = {"kill": "kill -9 of all on a machine", "freeze": "SIGSTOP of all on a machine", "cut": "link down"}
WHOLE = "0:6"
CLIENT, SERVERS = "none", (WHOLE, "0:3", "3:6")
SHORTEST_TEXT = 100
"""Pieces; a request whose answer ends sooner is not used."""
BACK_S = 120.0
REFRESH_S = 6.0
"""Until every node has read from the DHT what came back."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trials", type=int, default=30, help="of each fault")
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=list(FAULTS))
    parser.add_argument("--errors", type=int, default=3, help="trials without redundancy, of each fault")
    parser.add_argument("--tokens", type=int, default=400, help="of each answer")
    parser.add_argument("--preset", help="of the links: gbit, 100mbit, wifi, badwifi; else the kernel's bridge")
    parser.add_argument("--seed", type=int, default=0)


def run(arguments: argparse.Namespace) -> None:
    if reason := why_not():
        raise SystemExit(reason)
    rng = random.Random(arguments.seed)
    rows: list[list[str]] = []
    for fault in arguments.faults:
        with (
            tempfile.TemporaryDirectory() as folder,
            _lan(4, arguments.preset) as lan,
            Daemons(Path(folder)) as daemons,
        ):
            site = Site(lan, daemons, arguments.tokens)
            site.start()
            rows.append(_under_redundancy(site, fault, arguments.trials, rng))
    print_table(
        ("fault", "trials", "pause p50 s", "p95", "longest", "of undisturbed gap p50", "text identical"),
        rows,
    )
    if arguments.errors:
        errors = [_without_redundancy(fault, arguments, rng) for fault in arguments.faults]
        print_table(("fault, no other node has the blocks", "trials", "until the error, s: p50", "longest"), errors)


def _lan(hosts: int, preset: str | None) -> Lan:
    return Lan(hosts, "user" if preset else "bridge", preset)


@dataclass
class Site:
    """The client on the first host, a server on each of the others."""

    lan: Lan
    daemons: Daemons
    tokens: int
    blocks: tuple[str, ...] = (CLIENT, *SERVERS)
    running: dict[str, RunningDaemon] = field(default_factory=dict)
    """By the host's name."""
    expected: list[tuple[dict[str, Any], str, float]] = field(default_factory=list)
    """Requests with their undisturbed text and the median gap between its pieces."""

    @property
    def client(self) -> RunningDaemon:
        return self.running[self.lan.hosts[0].name]

    def start(self) -> None:
        """The servers first, one after another where the first has all blocks: importing takes all cores."""
        for host in (*self.lan.hosts[1:], self.lan.hosts[0]):
            daemon = self.start_on(host)
            if self.blocks[1] == WHOLE:
                daemon.wait_until_ready()
        for daemon in self.running.values():
            if not daemon.url:
                daemon.wait_until_ready()
        self.wait_until_whole()

    def start_on(self, host: Host) -> RunningDaemon:
        blocks = self.blocks[self.lan.hosts.index(host)]
        daemon = self.daemons.start("--auto", "--engine", "chain", "--blocks", blocks, on=host, name=host.name)
        self.running[host.name] = daemon
        return daemon

    def wait_until_whole(self) -> None:
        """The client lists every server as ready, and has had time to see what it serves."""
        servers = {daemon.node for daemon in self.running.values() if daemon is not self.client}
        wait_until(lambda: servers <= self._ready_peers(), "all servers are back", BACK_S)
        time.sleep(REFRESH_S)

    def _ready_peers(self) -> set[str]:
        rows = self.client.get("/v1/federation/peers")["peers"]
        return {row["node"] for row in rows if row["standing"] == "alive" and row["status"]["state"] == "ready"}

    def learn(self, count: int = 8) -> None:
        """Undisturbed answers, greedy and seeded alternately."""
        number = 0
        while len(self.expected) < count:
            number += 1
            is_greedy = len(self.expected) % 2 == 0
            body: dict[str, Any] = {"max_tokens": self.tokens, "temperature": 0 if is_greedy else 1.5, "seed": number}
            body["prompt"] = str(number) * 50
            stream = WatchedStream(self.client, body).wait(120)
            if len(stream.pieces) >= SHORTEST_TEXT:
                gaps = [later.at - earlier.at for earlier, later in zip(stream.pieces, stream.pieces[1:], strict=False)]
                self.expected.append((body, stream.text, statistics.median(gaps)))

    def host_of(self, node: str) -> Host | None:
        return next((host for host in self.lan.hosts if self.running[host.name].node == node), None)

    def serving(self, rng: random.Random) -> Host:
        """One of those that a stream would go through now."""
        nodes = WatchedStream(self.client, {"max_tokens": 2}).wait().nodes
        return rng.choice([host for node in nodes[1:] if (host := self.host_of(node))])

    def harm(self, host: Host, fault: str) -> None:
        match fault:
            case "kill":
                host.run("kill", "-KILL", "--", "-1")
            case "freeze":
                host.run("kill", "-STOP", "--", "-1")
            case "cut":
                self.lan.cut(host)

    def mend(self, host: Host, fault: str) -> None:
        match fault:
            case "kill":
                self.running[host.name].close()
                self.start_on(host).wait_until_ready()
            case "freeze":
                host.run("kill", "-CONT", "--", "-1")
                self.running[host.name].send_signal(signal.SIGCONT)
            case "cut":
                self.lan.heal(host)
        self.wait_until_whole()


def _under_redundancy(site: Site, fault: str, trials: int, rng: random.Random) -> list[str]:
    site.learn()
    pauses: list[float] = []
    same = number = 0
    while len(pauses) < trials:
        body, text, _ = site.expected[number % len(site.expected)]
        number += 1
        victim = site.serving(rng)
        node = site.running[victim.name].node
        stream = WatchedStream(site.client, body)
        stream.wait_for_pieces(rng.randint(5, SHORTEST_TEXT // 2))
        at = time.monotonic()
        site.harm(victim, fault)
        stream.wait(60)
        site.mend(victim, fault)
        if stream.error is not None:
            _say(f"{fault}: {stream.error}")
            pauses.append(float("inf"))
        elif node in stream.nodes:
            pauses.append(stream.longest_gap_s(at))
            same += stream.text == text
        else:
            continue  # The stream went another way: nothing happened to it.
        _say(f"{fault} {len(pauses)}: {pauses[-1]:.2f} s, identical so far: {same}")
    usual = statistics.median(gap for _, _, gap in site.expected)
    ordered = sorted(pauses)
    at_95 = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)) - 1)]
    figures = [f"{value:.2f}" for value in (statistics.median(pauses), at_95, ordered[-1])]
    return [WORDS[fault], str(trials), *figures, f"{1000 * usual:.0f} ms", f"{same} of {trials}"]


def _without_redundancy(fault: str, arguments: argparse.Namespace, rng: random.Random) -> list[str]:
    """Client and one server; the server is harmed, and started again for the next trial."""
    seconds: list[float] = []
    with tempfile.TemporaryDirectory() as folder, _lan(2, arguments.preset) as lan, Daemons(Path(folder)) as daemons:
        site = Site(lan, daemons, arguments.tokens, blocks=("0:3", "3:6"))
        site.start()
        for _ in range(arguments.errors):
            stream = WatchedStream(site.client, {"max_tokens": arguments.tokens, "temperature": 0})
            stream.wait_for_pieces(rng.randint(5, SHORTEST_TEXT // 2))
            at = time.monotonic()
            site.harm(lan.hosts[1], fault)
            stream.wait(60)
            assert stream.error is not None
            assert stream.ended_at is not None
            assert "3:6" in stream.error["message"]
            seconds.append(stream.ended_at - at)
            _say(f"{fault} without another node: {seconds[-1]:.2f} s: {stream.error['message']}")
            site.mend(lan.hosts[1], fault)
    return [WORDS[fault], str(len(seconds)), f"{statistics.median(seconds):.1f}", f"{max(seconds):.1f}"]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
