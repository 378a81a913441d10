"""Where multicast does not pass, one address is enough for a whole LAN, and a power cut costs nothing."""

import json
import signal

import pytest

from tests.lab.daemons import Daemons, RunningDaemon, wait_until
from tests.lab.lan import Host, Lan

pytestmark = [pytest.mark.cluster, pytest.mark.lan(hosts=3)]
QUIET = ("--auto", "--no-mdns")


def alive(daemon: RunningDaemon) -> set[str]:
    return {peer["node"] for peer in daemon.get("/v1/federation/peers")["peers"] if peer["standing"] == "alive"}


def start(daemons: Daemons, host: Host, *more: str, name: str = "") -> RunningDaemon:
    return daemons.start(*QUIET, *more, on=host, name=name)


def test_two_that_know_only_a_third_find_each_other(lan: Lan, daemons: Daemons) -> None:
    first, second, third = lan.hosts
    a = start(daemons, first).wait_until_ready()
    b, c = (start(daemons, host, "--peer", f"{first.address}:17615") for host in (second, third))
    b.wait_until_ready()
    c.wait_until_ready()
    wait_until(lambda: alive(b) >= {a.node, c.node} and alive(c) >= {a.node, b.node}, "b and c list each other")
    wait_until(lambda: alive(a) == {b.node, c.node}, "a was greeted by both")
    for daemon in (a, b, c):
        daemon.stop()


def test_after_a_power_cut_the_peers_are_found_without_being_named_again(lan: Lan, daemons: Daemons) -> None:
    first, second, _ = lan.hosts
    a = start(daemons, first).wait_until_ready()
    b = start(daemons, second, "--peer", f"{first.address}:17615", name="b").wait_until_ready()
    known = b.folder / "peers.json"
    wait_until(lambda: known.exists() and a.node in known.read_text(), "the peer is remembered")
    b.send_signal(signal.SIGKILL)
    b.process.wait(20)
    assert json.loads(known.read_text())["peers"][0]["host"] == first.address
    again = start(daemons, second, name="b").wait_until_ready()
    wait_until(lambda: a.node in alive(again), "the peer of the last run")
    for daemon in (a, again):
        daemon.stop()
