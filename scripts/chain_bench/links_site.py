"""Three machines on a link that share a model, and one by itself that has all of it; asked, counted and checked."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from chain_bench.checkpoints import Model
from tests.lab.daemons import Daemons, RunningDaemon
from tests.lab.host import Host
from tests.lab.lan import Lan
from tests.lab.streams import WatchedStream

ECHO = str(Path(__file__).with_name("links_echo.py"))
ECHO_PORT = 7007
READY_S, ANSWER_S = 180.0, 120.0
SETTLE_S = 6.0
"""Until every node has read from the DHT what the others serve."""
FLUSH_S = 0.3
"""After an answer: until its streams are closed and acknowledged, so that no byte counts for the next one."""


@dataclass(frozen=True, slots=True)
class Traffic:
    bytes: float
    packets: float

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(self.bytes + other.bytes, self.packets + other.packets)

    def __sub__(self, other: Traffic) -> Traffic:
        return Traffic(self.bytes - other.bytes, self.packets - other.packets)

    def __mul__(self, factor: float) -> Traffic:
        return Traffic(self.bytes * factor, self.packets * factor)


@dataclass(frozen=True, slots=True)
class Way:
    """A daemon to ask, and the route on which each of its answers must have been made."""

    daemon: RunningDaemon
    hops: int
    route: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """An answer from its first piece on: what the prompt and the opening of a route take is over by then."""

    token_ms: float
    """Mean."""
    tokens: int
    seconds: float
    sent: Traffic
    """By the three machines together in that time."""


@dataclass
class Site:
    """Built by `open_site`."""

    lan: Lan
    model: Model
    ways: dict[str, Way]
    serving_s: float
    """From the start of both servers until both were ready; the whole model beside them was loaded at the same time."""
    client_s: float
    """From the start of the client, the last of all, until its first answer had come over both."""
    texts: dict[int, str]
    """What the first who was asked said in so many tokens."""

    def ask(self, way: Way, tokens: int) -> Asked:
        """Raises `RuntimeError` where anybody but the expected nodes answered, or the text is another."""
        stream = WatchedStream(way.daemon, {"max_tokens": tokens, "temperature": 0})
        stream.wait_for_pieces(1, ANSWER_S)
        before, at = self.sent(), time.monotonic()
        begun = len(stream.pieces)
        stream.wait(ANSWER_S)
        sent, seconds = self.sent() - before, time.monotonic() - at
        _check(stream, way)
        if stream.text != self.texts.setdefault(tokens, stream.text):
            raise RuntimeError(f"another text than the whole model's: {stream.text!r}, not {self.texts[tokens]!r}")
        made = [piece.tokens for piece in stream.pieces]
        token_ms = 1000 * (stream.pieces[-1].at - stream.pieces[0].at) / sum(made[1:])
        time.sleep(FLUSH_S)
        return Asked(token_ms, sum(made[begun:]), seconds, sent)

    def sent(self) -> Traffic:
        """Since the links came up, by the three machines: whatever they put on the wire, lost frames too."""
        counts = [_sent_by(host) for host in self.lan.hosts]
        return Traffic(sum(count.bytes for count in counts), sum(count.packets for count in counts))

    def idle(self, seconds: float) -> Traffic:
        """A second, of all three machines, while nobody asks anything."""
        before, at = self.sent(), time.monotonic()
        time.sleep(seconds)
        return (self.sent() - before) * (1 / (time.monotonic() - at))

    def echo_ms(self, count: int) -> float:
        """From the client's machine to a server's and back, with the bytes of a step, by plain TCP."""
        client, server, _ = self.lan.hosts
        asked = (server.address, str(ECHO_PORT), str(self.model.hidden * 4), str(count))
        return float(client.run(sys.executable, "-S", ECHO, "ask", *asked).stdout)

    def resident_mib(self) -> dict[str, list[float]]:
        """Daemon, worker and libp2p's daemon of each node; what they share counts in each."""
        return {name: _resident_mib(way.daemon) for name, way in self.ways.items()}


def _check(stream: WatchedStream, way: Way) -> None:
    if stream.error or stream.last is None:
        raise RuntimeError(f"no whole answer: {stream.error}")
    route, nodes = stream.last["swarm"]["route"], tuple(stream.nodes)
    if (route, nodes) != (way.route, way.nodes):
        raise RuntimeError(f"another route: {route} over {nodes}, not {way.route} over {way.nodes}")


@contextlib.contextmanager
def open_site(preset: str, model: Model) -> Iterator[Site]:
    """Both servers on links of this kind, and the whole model on a LAN of its own, where no route can lead to it; when
    they are ready, the client."""
    half = model.layers // 2
    with (
        tempfile.TemporaryDirectory() as folder,
        Lan(1) as aside,
        Lan(3, "user", preset) as lan,
        Daemons(Path(folder)) as daemons,
    ):
        client_host, *hosts = lan.hosts
        at = time.monotonic()
        chained = ("--auto", "--model", model.option, "--engine", "chain", "--blocks")
        spans = f"0:{half}", f"{half}:{model.layers}"
        servers = [daemons.start(*chained, span, on=host) for span, host in zip(spans, hosts, strict=True)]
        whole = daemons.start("--auto", "--model", model.option, "--engine", "local", on=aside.hosts[0])
        for daemon in servers:
            daemon.wait_until_ready(READY_S)
        serving_s = time.monotonic() - at
        whole.wait_until_ready(READY_S)
        at = time.monotonic()
        client = daemons.start(*chained, "none", on=client_host)
        client.wait_until_ready(READY_S)
        nodes = tuple(server.node for server in servers)
        ways = {
            "one process": Way(whole, 0, "local", (whole.node,)),
            "one hop": Way(servers[0], 1, "chain", nodes),
            "two hops": Way(client, 2, "chain", (client.node, *nodes)),
        }
        _check(WatchedStream(client, {"max_tokens": 8, "temperature": 0}).wait(), ways["two hops"])
        client_s = time.monotonic() - at
        echo = hosts[0].start(sys.executable, "-S", ECHO, "serve", str(ECHO_PORT), stdout=subprocess.PIPE)
        assert echo.stdout is not None
        echo.stdout.readline()
        time.sleep(SETTLE_S)
        yield Site(lan, model, ways, serving_s, client_s, {})


def _sent_by(host: Host) -> Traffic:
    lines = Path(f"/proc/{host.pid}/net/dev").read_text().splitlines()
    (link,) = (line.split(":")[1].split() for line in lines if line.strip().startswith("eth0:"))
    return Traffic(int(link[8]), int(link[9]))


def _resident_mib(daemon: RunningDaemon) -> list[float]:
    processes = psutil.Process(daemon.process.pid).children(recursive=True)
    held = {_kind(process): process.memory_info().rss / 2**20 for process in processes}
    return [held[kind] for kind in ("daemon", "worker", "p2pd")]


def _kind(process: psutil.Process) -> str:
    if process.name() == "p2pd":
        return "p2pd"
    return "worker" if "swarm.worker" in process.cmdline() else "daemon"
