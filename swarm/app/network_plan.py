"""Where the API should listen and what is announced, as this machine's addresses come and go. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from swarm.host.addresses import LOCALHOST, Interface, choose_lan_address, interface_kind

PAUSE_S = 5.0
"""More than this between two looks, which come each second: the machine slept, or its clock was set."""


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    join: str | None
    """The address to listen at besides; None where it is listened at already, or where there is none."""
    leave: tuple[str, ...]
    """No address of this machine any more."""


def plan_network(listening: Sequence[str], interfaces: Sequence[Interface]) -> NetworkPlan:
    """An address of an interface that is down is kept: the cable may come back."""
    there = {address for interface in interfaces for address in interface.addresses}
    best = choose_lan_address(interfaces).host
    return NetworkPlan(
        join=None if best in listening or best == LOCALHOST else best,
        leave=tuple(host for host in listening if host not in there and not is_loopback(host)),
    )


def plan_announcement(listening: Iterable[str], interfaces: Sequence[Interface]) -> tuple[str, ...]:
    """Of the addresses listened at those by which others reach this machine, the best first; maybe none."""
    best = choose_lan_address(interfaces)
    up = {address: interface.name for interface in interfaces if interface.is_up for address in interface.addresses}
    reachable = [
        host
        for host in listening
        if host in up and (interface_kind(up[host]) != "bridge" or up[host] == best.interface)
    ]
    return tuple(sorted(reachable, key=lambda host: host != best.host))


def has_slept(elapsed_s: float, elapsed_wall_s: float) -> bool:
    """The monotonic clock stands still in the sleep of some systems, the wall clock in none."""
    return max(elapsed_s, elapsed_wall_s) > PAUSE_S


def is_loopback(host: str) -> bool:
    return ip_address(host.partition("%")[0]).is_loopback
