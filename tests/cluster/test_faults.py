"""Peers that die, freeze, lose their network and come back: who lists whom, and how soon.

The limit leaves room for a busy machine; `scripts/bench_membership.py` measures the real times.
"""

import signal
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.lab.daemons import Daemons, RunningDaemon, wait_until
from tests.lab.lan import Host, Lan
from tests.lab.members import Member, all_alive, gone, wait_until_alive

pytestmark = pytest.mark.cluster
SOON_S = 25.0
"""Two to eight seconds on a free machine."""


class Peer(NamedTuple):
    node: str
    boot: str
    standing: str


def peers_of(daemon: RunningDaemon) -> list[Peer]:
    rows = daemon.get("/v1/federation/peers")["peers"]
    return [Peer(row["node"], row["boot"], row["standing"]) for row in rows if row["standing"] != "candidate"]


def alive(daemon: RunningDaemon) -> list[str]:
    return [peer.node for peer in peers_of(daemon) if peer.standing == "alive"]


def daemon_on(daemons: Daemons, host: Host) -> RunningDaemon:
    """The same host is the same node. Its model loads meanwhile: membership does not wait for it."""
    return daemons.start("--auto", "--federation", "--blocks", "none", on=host, name=host.name).wait_until_listening()


def two_daemons(lan: Lan, daemons: Daemons) -> tuple[RunningDaemon, RunningDaemon]:
    first, second = (daemon_on(daemons, host) for host in lan.hosts)
    wait_until_met(first, second)
    return first, second


def wait_until_met(first: RunningDaemon, second: RunningDaemon) -> None:
    wait_until(lambda: alive(first) and alive(second), "each lists the other", SOON_S)


# No more than two deaths of one node: after three within a minute it gets no work for a while.


def test_a_killed_peer_is_gone_in_seconds_and_its_restart_noticed_or_not_is_one_row_of_the_same_node(
    lan: Lan, daemons: Daemons
) -> None:
    watcher, victim = two_daemons(lan, daemons)
    (before,) = peers_of(watcher)
    victim.close()
    wait_until(lambda: not peers_of(watcher), "the killed peer is gone", SOON_S)
    victim = daemon_on(daemons, lan.hosts[1])
    wait_until(lambda: alive(watcher), "it is back", SOON_S)
    (after,) = peers_of(watcher)
    assert after.node == before.node
    assert after.boot != before.boot

    # Nobody has time to notice this one.
    victim.close()
    victim = daemon_on(daemons, lan.hosts[1])
    seen: list[list[Peer]] = []

    def is_replaced() -> bool:
        seen.append(peers_of(watcher))
        return [peer.standing for peer in seen[-1] if peer.boot != after.boot] == ["alive"]

    wait_until(is_replaced, "the new run is listed", SOON_S)
    assert max(map(len, seen)) == 1
    victim.stop()
    watcher.stop()


def test_a_peer_that_freezes_or_is_cut_off_is_gone_in_seconds_and_back_when_that_ends(
    lan: Lan, daemons: Daemons
) -> None:
    watcher, victim = two_daemons(lan, daemons)
    victim.send_signal(signal.SIGSTOP)
    wait_until(lambda: not alive(watcher), "no new work for it", SOON_S)
    wait_until(lambda: not peers_of(watcher), "it is gone", SOON_S)
    victim.send_signal(signal.SIGCONT)
    wait_until_met(watcher, victim)

    lan.cut(lan.hosts[1])
    wait_until(lambda: not peers_of(watcher) and not peers_of(victim), "both are alone", SOON_S)
    lan.heal(lan.hosts[1])
    wait_until_met(watcher, victim)
    victim.stop()
    watcher.stop()


@pytest.mark.lan(hosts=4, switch="user")
def test_two_halves_hold_together_and_become_one_again(lan: Lan, tmp_path: Path) -> None:
    members = [Member(host, tmp_path / host.name) for host in lan.hosts]
    wait_until_alive(members)
    halves = members[:2], members[2:]
    cut_at = time.monotonic()
    lan.divide(lan.hosts[:2], lan.hosts[2:])
    for half, others in (halves, reversed(halves)):
        names = {member.node for member in half}
        for member in half:
            for other in others:
                member.view(gone(other.node), "the other half is gone", cut_at, SOON_S)
            assert all_alive(names - {member.node})(member.views[-1])
    healed_at = time.monotonic()
    lan.unite(lan.hosts[:2], lan.hosts[2:])
    wait_until_alive(members, healed_at, SOON_S)
    for member in members:
        member.stop()


@pytest.mark.lan(hosts=2, switch="user")
def test_a_one_way_cut_does_not_flap(lan: Lan, tmp_path: Path) -> None:
    members = [Member(host, tmp_path / host.name) for host in lan.hosts]
    wait_until_alive(members)
    cut_at = time.monotonic()
    lan.block(*lan.hosts)
    for member, other in (members, reversed(members)):
        member.view(gone(other.node), "the other one is gone", cut_at, SOON_S)
    time.sleep(4)
    assert not [view for member in members for view in member.events("PeerJoined", cut_at)]
    healed_at = time.monotonic()
    lan.unblock(*lan.hosts)
    wait_until_alive(members, healed_at, SOON_S)
    for member in members:
        member.stop()
