"""What is wrong with each known peer: unreachable, another version, another time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import assert_never

from swarm.doctor.finding import Finding, note, ok, problem
from swarm.doctor.known import Known
from swarm.doctor.remedies import set_clock
from swarm.doctor.replies import Answered, Refused, Silent, Strange, Unresolved
from swarm.doctor.system import System
from swarm.domain.nodes import NodeStatus

CLOCK_LIMIT_S = 3.0
"""hivemind refuses messages of a node whose clock differs by more."""


def judge_peers(known: Sequence[Known], version: str, protocol: int, system: System) -> Iterator[Finding]:
    for one in known:
        yield reachable(one)
        if isinstance(one.best, Answered):
            yield from _version(one, one.best.status, version, protocol)
    yield from _clocks(known, system)


def reachable(one: Known) -> Finding:
    seen_by = "it is announced on mDNS" if one.is_announced else "it is named by --peer" if one.is_configured else ""
    seen = seen_by or "the daemon lists it"
    port = one.endpoints[0].port
    on_the_other = (
        f"on that machine: python main.py doctor\nand: sudo ufw allow {port}/tcp   # or its firewall's own way"
    )
    match one.best:
        case Answered(_, round_trip_s):
            return ok("peer", f"{one.name} answers", f"in {round_trip_s * 1000:.0f} ms; {seen}")
        case Refused():
            cause = f"{one.name} refuses connections: the machine is there, and no daemon listens on port {port}"
            fix = "start the daemon there: python main.py --auto --federation\nor name the port that it shows: --peer"
            return problem("peer", cause, seen, fix)
        case Silent(evidence):
            cause = f"{one.name} is silent over TCP: a firewall there drops the packets, AP isolation, or it is off"
            return problem("peer", cause, f"{seen}; {evidence}", on_the_other)
        case Strange(evidence):
            cause = f"{one.name} answers, but not as a node: another program, or a version that is not understood"
            return problem("peer", cause, f"{seen}{_said_version(one)}; {evidence}", "run the same version on both")
        case Unresolved() | None:
            cause = f"{one.name} has no address: the name is not known on this network"
            return problem("peer", cause, seen, "name it by its IP address: --peer ADDRESS:PORT")
        case _:
            assert_never(one.best)


def _said_version(one: Known) -> str:
    return f", version {one.advert.version}, protocol {one.advert.protocol}" if one.advert else ""


def _version(one: Known, status: NodeStatus, version: str, protocol: int) -> Iterator[Finding]:
    seen = f"there: version {status.version}, protocol {status.protocol}; here: version {version}, protocol {protocol}"
    if status.protocol != protocol:
        older = "on this machine" if status.protocol > protocol else f"on {status.name}"
        cause = f"{one.name} speaks another protocol version, so that neither uses the other"
        yield problem("version", cause, seen, f"{older}: git pull && make run   # install the same version on both")
    elif status.version != version:
        yield note("version", f"{one.name} has another version of the same protocol; both work together", seen)


def _clocks(known: Iterable[Known], system: System) -> Iterator[Finding]:
    told = [(one, one.best.clock_s) for one in known if isinstance(one.best, Answered) and one.best.clock_s]
    skewed = [(one, bounds) for one, bounds in told if is_skewed(bounds)]
    ours_is_wrong = len(skewed) > 1 and len(skewed) == len(told) and _same_direction([bounds for _, bounds in skewed])
    for one, bounds in skewed:
        cause = f"the clock of {one.name} differs by more than {CLOCK_LIMIT_S:g} s: the chain refuses its blocks"
        where = "this machine's clock is wrong" if ours_is_wrong else "on the machine whose clock is wrong"
        yield problem("clock", cause, _difference(bounds), f"{where}: {set_clock(system)}")
    if told and not skewed:
        yield ok("clock", f"no clock differs by more than {CLOCK_LIMIT_S:g} s", f"{len(told)} compared")


def is_skewed(bounds: tuple[float, float]) -> bool:
    """Beyond doubt: both bounds are."""
    earliest, latest = bounds
    return earliest > CLOCK_LIMIT_S or latest < -CLOCK_LIMIT_S


def _same_direction(bounds: Sequence[tuple[float, float]]) -> bool:
    return len({earliest > 0 for earliest, _ in bounds}) == 1


def _difference(bounds: tuple[float, float]) -> str:
    middle = sum(bounds) / 2
    return f"it is {abs(middle):.0f} s {'ahead of' if middle > 0 else 'behind'} this machine's"
