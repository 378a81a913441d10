"""Addresses that come, change and go while the daemon runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.daemons import Daemons, RunningDaemon, wait_until
from tests.lab.host import Host
from tests.lab.lan import Lan
from tests.lab.members import Member

pytestmark = pytest.mark.cluster
LIGHT = ("--model", "demo", "--blocks", "none")
NOTICED_S = 30.0
"""Ten seconds on a free machine, and some for one that is busy with other tests."""


def alive(daemon: RunningDaemon) -> dict[str, str]:
    """The address of each."""
    rows = daemon.get("/v1/federation/peers")["peers"]
    return {row["node"]: row["endpoint"]["host"] for row in rows if row["standing"] == "alive"}


def readdress(host: Host, old: str, new: str) -> None:
    """As a new lease of DHCP does."""
    host.network("ip", "addr", "del", f"{old}/24", "dev", "eth0")
    host.network("ip", "addr", "add", f"{new}/24", "dev", "eth0")


def test_a_new_address_is_listened_at_and_announced(lan: Lan, daemons: Daemons, tmp_path: Path) -> None:
    here, there = lan.hosts
    roaming = daemons.start(*LIGHT, on=here).wait_until_ready()
    still = daemons.start(*LIGHT, on=there).wait_until_ready()
    wait_until(lambda: roaming.node in alive(still), "the peer")
    readdress(here, here.address, "10.77.0.51")
    wait_until(lambda: alive(still).get(roaming.node) == "10.77.0.51", "the peer at its new address", NOTICED_S)
    roaming.url = "http://10.77.0.51:17615/v1"
    wait_until(lambda: still.node in alive(roaming), "it still knows the others", NOTICED_S)
    for text in ("the API listens at a new address", "an address of this machine is gone"):
        assert text in roaming.log
    newcomer = daemons.start(*LIGHT, "--no-mdns", "--peer", "10.77.0.51:17615", on=there, name="newcomer")
    newcomer.wait_until_ready()
    wait_until(lambda: roaming.node in alive(newcomer), "a newcomer reaches the new address", NOTICED_S)
    for daemon in (newcomer, roaming, still):
        daemon.stop()


def test_a_daemon_that_started_without_a_network_joins_the_one_that_comes(
    lan: Lan, daemons: Daemons, tmp_path: Path
) -> None:
    here, there = lan.hosts
    here.network("ip", "addr", "flush", "dev", "eth0")
    lonely = daemons.start(*LIGHT, on=here).wait_until_ready()
    assert lonely.url == "http://127.0.0.1:17615/v1"
    peer = Member(there, tmp_path / "peer")
    here.network("ip", "addr", "add", f"{here.address}/24", "dev", "eth0")
    wait_until(lambda: peer.node in alive(lonely), "the network's peer", NOTICED_S)
    peer.view(lambda view: view.lists_alive([lonely.node]), "the daemon that came late", within_s=NOTICED_S)
    assert lonely.url == "http://127.0.0.1:17615/v1"
    lonely.stop()


def test_after_a_network_was_lost_and_came_back_all_is_heard_again(lan: Lan, daemons: Daemons, tmp_path: Path) -> None:
    here, there = lan.hosts
    daemon = daemons.start(*LIGHT, on=here).wait_until_ready()
    here.network("ip", "link", "set", "eth0", "down")
    here.network("ip", "addr", "flush", "dev", "eth0")
    daemon.wait_until_logged("no network reaches this machine")
    daemon.url = "http://127.0.0.1:17615/v1"
    peer = Member(there, tmp_path / "peer")
    peer.ready()
    here.network("ip", "link", "set", "eth0", "up")
    here.network("ip", "addr", "add", f"{here.address}/24", "dev", "eth0")
    wait_until(lambda: peer.node in alive(daemon), "the peer that came meanwhile", NOTICED_S)
    daemon.stop()


def test_hosts_with_ipv6_only_find_each_other(lan: Lan, daemons: Daemons) -> None:
    for host in lan.hosts:
        host.network("ip", "-4", "addr", "flush", "dev", "eth0")
        wait_until(lambda host=host: "tentative" not in link_local(host), "its address is its own")  # type: ignore[misc]
    here, there = (daemons.start(*LIGHT, on=host).wait_until_ready() for host in lan.hosts)
    assert "[fe80::" in here.url
    here.url = there.url = "http://localhost:17615/v1"
    wait_until(lambda: there.node in alive(here) and here.node in alive(there), "each other", NOTICED_S)
    assert "%" in alive(here)[there.node]
    for daemon in (here, there):
        daemon.stop()


def link_local(host: Host) -> str:
    shown = str(host.network("ip", "-6", "-o", "addr", "show", "dev", "eth0"))
    return shown if "fe80::" in shown else "tentative"
