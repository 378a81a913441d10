"""One run of each thing that can happen to a swarm, on a LAN of its own; the seconds until the others knew."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.lab.host import Host
from tests.lab.lan import Lan, Shape
from tests.lab.members import Fact, Member, all_alive, gone, not_alive, one_row_alive, wait_until_alive

Fault = Literal["stop", "kill", "cut", "off", "freeze"]
Seconds = dict[str, list[float]]
"""By what was measured; infinite for what did not happen while it was waited for."""

GIVE_UP_S = 90.0
SETTLE_S = (1.5, 2.5)
"""From all being alive to the fault: at any moment between two probes."""
TEN_PERCENT = Shape(loss_pct=10)
BUSY_LOOPS_A_CORE = 3


@dataclass(frozen=True, slots=True)
class Site:
    """A LAN and a folder; `start` gives a host the identity that it had there before."""

    lan: Lan
    folder: Path

    def start(self, host: Host, *arguments: str) -> Member:
        return Member(host, self.folder / host.name, *arguments)

    def start_together(self, hosts: Sequence[Host]) -> list[Member]:
        """All have their imports behind them when they are let go."""
        members = [self.start(host, "--wait-for-go") for host in hosts]
        for member in members:
            member.loaded()
        for member in members:
            member.go()
        return members

    def start_all(self) -> list[Member]:
        members = self.start_together(self.lan.hosts)
        wait_until_alive(members)
        time.sleep(random.uniform(*SETTLE_S))
        return members


@contextlib.contextmanager
def site(hosts: int, switch: Literal["bridge", "user"] = "bridge", preset: str | None = None) -> Iterator[Site]:
    with tempfile.TemporaryDirectory() as folder, Lan(hosts, switch, preset) as lan:
        yield Site(lan, Path(folder))


# -- coming -----------------------------------------------------------------------------------------------------------


def start_together(preset: str | None) -> Seconds:
    """From each node's own ready until it lists both others."""
    with site(3, "user" if preset else "bridge", preset) as here:
        members = here.start_together(here.lan.hosts)
        return {"listed": [_all_alive(member, members, member.ready().at) for member in members]}


def join_during_a_cut(cut_s: float) -> Seconds:
    """From the heal until all list all."""
    with site(3) as here:
        early, late = here.lan.hosts[:2], here.lan.hosts[2]
        members = here.start_together(early)
        wait_until_alive(members)
        here.lan.cut(late)
        members.append(here.start(late))
        members[-1].ready()
        time.sleep(cut_s)
        here.lan.heal(late)
        healed_at = time.monotonic()
        return {"found": [max(_all_alive(member, members, healed_at) for member in members)]}


# -- going ------------------------------------------------------------------------------------------------------------


def fault(kind: Fault) -> Seconds:
    """Until both others list it no longer alive, and no longer at all; and where it comes back, until it is back."""
    with site(3) as here:
        *observers, victim = members = here.start_all()
        at = _strike(here.lan, victim, kind)
        times = {
            "suspect": [_seconds(one, not_alive(victim.node), at) for one in observers],
            "gone": [_seconds(one, gone(victim.node), at) for one in observers],
        }
        return times | _come_back(here, members, kind)


def _strike(lan: Lan, victim: Member, kind: Fault) -> float:
    at = time.monotonic()
    match kind:
        case "stop":
            victim.send(signal.SIGTERM)
        case "kill":
            victim.send(signal.SIGKILL)
        case "cut":
            lan.cut(victim.host)
        case "off":
            lan.power_off(victim.host)
        case "freeze":
            victim.send(signal.SIGSTOP)
    return at


def _come_back(here: Site, members: Sequence[Member], kind: Fault) -> Seconds:
    *observers, victim = members
    match kind:
        case "kill":
            victim.wait()
            again = here.start(victim.host)
            ready = again.ready()
            back = [_seconds(one, one_row_alive(ready.node, ready.boot), ready.at) for one in observers]
            return {"back": back, "same id": [0.0 if ready.node == victim.node else math.inf]}
        case "cut":
            here.lan.heal(victim.host)
        case "freeze":
            victim.send(signal.SIGCONT)
        case "stop" | "off":
            return {}
    at = time.monotonic()
    return {"back": [_all_alive(one, members, at) for one in observers]}


def split(cut_s: float) -> Seconds:
    """Until each of two halves sees two gone; whether it then holds together; from the heal until all is one."""
    with site(4, "user") as here:
        members = here.start_all()
        halves = members[:2], members[2:]
        here.lan.divide(*([member.host for member in half] for half in halves))
        at = time.monotonic()
        apart = [
            _seconds(one, gone(other.node), at)
            for one, other in (*itertools.product(*halves), *itertools.product(*reversed(halves)))
        ]
        time.sleep(max(0.0, at + cut_s - time.monotonic()))
        torn = [math.inf for half in halves for one in half if _all_alive(one, half, time.monotonic()) > 0]
        here.lan.unite(*([member.host for member in half] for half in halves))
        healed_at = time.monotonic()
        return {"gone": apart, "torn": torn, "one": [max(_all_alive(one, members, healed_at) for one in members)]}


# -- staying ----------------------------------------------------------------------------------------------------------


def false_deaths_under_loss(minutes: float) -> Seconds:
    with site(3, "user") as here:
        members = here.start_all()
        here.lan.shape_all(TEN_PERCENT)
        return _watch(members, minutes * 60)


def false_deaths_while_busy(minutes: float) -> Seconds:
    with site(3) as here, busy_cores():
        return _watch(here.start_all(), minutes * 60)


def false_deaths_after_sleep(sleep_s: float) -> Seconds:
    """The sleeper's own; that the others gave it up is right. And how long after its wake all is as before."""
    with site(3) as here:
        members = here.start_all()
        sleeper = members[0]
        sleeper.send(signal.SIGSTOP)
        time.sleep(sleep_s)
        woke_at = sleeper.send(signal.SIGCONT)
        back = max(_all_alive(member, members, woke_at) for member in members)
        time.sleep(10)
        deaths = [view for view in sleeper.events("PeerLeft", woke_at) if view.reason != "restarted"]
        return {"deaths": [float(len(deaths))], "back": [back]}


def _watch(members: Sequence[Member], seconds: float) -> Seconds:
    since = time.monotonic()
    time.sleep(seconds)
    counts = {kind: sum(len(one.events(kind, since)) for one in members) for kind in ("PeerLeft", "PeerSuspected")}
    return {"deaths": [float(counts["PeerLeft"])], "suspicions": [float(counts["PeerSuspected"])]}


@contextlib.contextmanager
def busy_cores() -> Iterator[None]:
    """More loops than cores, so that every process waits for its turn."""
    with contextlib.ExitStack() as loops:
        for _ in range(BUSY_LOOPS_A_CORE * (os.cpu_count() or 1)):
            loop = loops.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            loops.callback(loop.kill)
        yield


def _all_alive(one: Member, members: Sequence[Member], since: float) -> float:
    others = {member.node for member in members} - {one.node}
    return _seconds(one, all_alive(others), since)


def _seconds(member: Member, fact: Fact, since: float) -> float:
    try:
        return member.when(fact, "the table", since, GIVE_UP_S)
    except AssertionError:
        return math.inf
