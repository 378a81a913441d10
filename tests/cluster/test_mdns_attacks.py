"""What a stranger on the LAN can say by multicast, and what it changes: nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.lab.daemons import ROOT, Daemons, RunningDaemon, wait_until
from tests.lab.host import Host
from tests.lab.lan import Lan
from tests.lab.members import Member

pytestmark = [pytest.mark.cluster, pytest.mark.lan(hosts=4)]
LIGHT = ("--model", "demo", "--blocks", "none", "--log-level", "debug")
GROWTH_LIMIT_BYTES = 20 * 2**20


class Stage:
    """A daemon, a peer of it, a stranger who shouts, and a host for newcomers."""

    def __init__(self, lan: Lan, daemons: Daemons, folder: Path) -> None:
        self.here, there, self.stranger, self.free = lan.hosts
        self._folder = folder
        # Every address has a route, so that a dial anywhere leaves as a packet.
        self.here.network("ip", "route", "add", "default", "via", self.stranger.address)
        self.dials = Dials(self.here)
        self.daemon = daemons.start(*LIGHT, on=self.here).wait_until_ready()
        self.peer = Member(there, folder / "peer")
        wait_until(lambda: self.peer.node in alive(self.daemon), "the peer")

    def attack(self, kind: str, victim: str = "") -> None:
        command = (sys.executable, "-m", "tests.lab.mdns_attacker", self.stranger.address, kind, victim)
        subprocess.run(self.stranger.inside(*command), cwd="/", env={"PYTHONPATH": str(ROOT)}, check=True, timeout=60)

    def start_newcomer(self) -> Member:
        newcomer = Member(self.free, self._folder / "newcomer")
        newcomer.ready()
        return newcomer


class Dials:
    """Whither a host connects, as its interfaces see it."""

    def __init__(self, host: Host) -> None:
        self._seen: list[tuple[str, int]] = []
        environment = {"PYTHONPATH": str(ROOT)}
        command = (sys.executable, "-m", "tests.lab.dial_watcher")
        self._watcher = host.start(*command, stdout=subprocess.PIPE, env=environment)
        self._started = threading.Event()
        self._reader = threading.Thread(target=self._read, name="dials", daemon=True)
        self._reader.start()
        assert self._started.wait(60)

    def _read(self) -> None:
        assert self._watcher.stdout is not None
        for line in self._watcher.stdout:
            self._seen = [(host, port) for host, port in json.loads(line)]
            self._started.set()

    @property
    def seen(self) -> set[tuple[str, int]]:
        return set(self._seen)


@pytest.fixture
def stage(lan: Lan, daemons: Daemons, tmp_path: Path) -> Iterator[Stage]:
    built = Stage(lan, daemons, tmp_path)
    yield built
    built.daemon.stop()


def peers(daemon: RunningDaemon) -> list[dict[str, Any]]:
    return list(daemon.get("/v1/federation/peers")["peers"])


def alive(daemon: RunningDaemon) -> set[str]:
    return {row["node"] for row in peers(daemon) if row["standing"] == "alive"}


def memory_bytes(daemon: RunningDaemon) -> int:
    """Of the daemon itself, which is the child of its nsenter."""
    return int(psutil.Process(daemon.process.pid).children()[0].memory_info().rss)


def stays_alive(stage: Stage, for_s: float) -> None:
    until = time.monotonic() + for_s
    while time.monotonic() < until:
        assert stage.peer.node in alive(stage.daemon)
        time.sleep(0.2)


def test_forged_goodbyes_and_hijacked_names_leave_a_live_peer_where_it_is(stage: Stage) -> None:
    for _ in range(3):
        stage.attack("goodbye", stage.peer.node)
        stage.attack("hijack", stage.peer.node)
        stage.attack("markup", stage.peer.node)
    stays_alive(stage, 4)
    (row,) = [row for row in peers(stage.daemon) if row["node"] == stage.peer.node]
    assert row["endpoint"] == {"host": stage.peer.host.address, "port": 17615}
    assert [event["kind"] for event in stage.daemon.get("/v1/federation/peers")["events"]] == ["joined"]


def test_forged_texts_reach_neither_the_page_nor_the_log(stage: Stage) -> None:
    stage.attack("markup", stage.peer.node)
    stage.attack("oversized")
    stays_alive(stage, 3)
    table = json.dumps(stage.daemon.get("/v1/federation/peers"))
    for text in (table, stage.daemon.log):
        assert "<" not in text.replace("<unknown>", "")
        assert "\x1b" not in text
        assert "\\u001b" not in text
        assert "forged log line" not in text


def test_nothing_outside_the_own_network_is_dialled(stage: Stage) -> None:
    for _ in range(2):
        stage.attack("foreign")
        stage.attack("hijack", stage.peer.node)
        time.sleep(1.5)
    stays_alive(stage, 1)
    dialled = {host for host, _ in stage.dials.seen} - {"127.0.0.1"}
    assert stage.peer.host.address in dialled  # The watcher sees what there is to see.
    assert all(host.startswith("10.77.0.") and host != "10.77.0.255" for host in dialled)
    # On localhost it is only this test that asks, by the port that it is told.
    assert {port for host, port in stage.dials.seen if host == "127.0.0.1"} <= {17615}
    assert not {port for _, port in stage.dials.seen if port < 1024}


# In a wide flood each forged address is a place to look; a newcomer that says hello is looked at first.
@pytest.mark.parametrize("kind", ["flood", "wide-flood"])
def test_a_flood_costs_little_and_hides_no_newcomer(stage: Stage, kind: str) -> None:
    before = memory_bytes(stage.daemon)
    stage.attack(kind)
    newcomer = stage.start_newcomer()
    wait_until(lambda: newcomer.node in alive(stage.daemon), "the newcomer", 15)
    stays_alive(stage, 2)
    assert memory_bytes(stage.daemon) - before < GROWTH_LIMIT_BYTES
    assert len(peers(stage.daemon)) < 100
