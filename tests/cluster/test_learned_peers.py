"""Where multicast does not pass, one address is enough for a whole LAN, and a power cut costs nothing."""

import json
import signal

import pytest

from tests.lab.daemons import Daemons, RunningDaemon, wait_until
from tests.lab.lan import Host, Lan

pytestmark = [pytest.mark.cluster, pytest.mark.lan(hosts=3)]
QUIET = ("--auto", "--blocks", "none", "--no-mdns")


def alive(daemon: RunningDaemon) -> set[str]:
    return {peer["node"] for peer in daemon.get("/v1/federation/peers")["peers"] if peer["standing"] == "alive"}


def start(daemons: Daemons, host: Host, *more: str, name: str) -> RunningDaemon:
    return daemons.start(*QUIET, *more, on=host, name=name)


def test_two_that_know_only_a_third_find_each_other_and_all_again_after_a_power_cut(lan: Lan, daemons: Daemons) -> None:
    first, second, third = lan.hosts
    a = start(daemons, first, name="a")
    b, c = (
        start(daemons, host, "--peer", f"{first.address}:17615", name=name)
        for host, name in ((second, "b"), (third, "c"))
    )
    for daemon in (a, b, c):
        daemon.wait_until_ready()
    wait_until(lambda: alive(b) >= {a.node, c.node} and alive(c) >= {a.node, b.node}, "b and c list each other")
    wait_until(lambda: alive(a) == {b.node, c.node}, "a was greeted by both")

    # A power cut.
    known = b.folder / "peers.json"
    wait_until(lambda: known.exists() and a.node in known.read_text(), "the peer is remembered")
    b.send_signal(signal.SIGKILL)
    b.process.wait(20)
    assert first.address in {peer["host"] for peer in json.loads(known.read_text())["peers"]}
    again = start(daemons, second, name="b").wait_until_listening()
    wait_until(lambda: a.node in alive(again), "the peer of the last run")
    for daemon in (a, again, c):
        daemon.stop()
