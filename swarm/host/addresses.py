"""Which address of this machine the others reach it by. Never one that means every interface."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Literal

import psutil

LOCALHOST = "127.0.0.1"

AddressKind = Literal["private IPv4", "unique local IPv6", "link-local IPv6"]
InterfaceKind = Literal["network", "tunnel", "bridge"]
"""`bridge`: made by this machine for its own containers and virtual machines; others do not reach it."""

NETWORKS: tuple[tuple[AddressKind, tuple[IPv4Network | IPv6Network, ...]], ...] = (
    ("private IPv4", tuple(map(ip_network, ("192.168.0.0/16", "10.0.0.0/8", "172.16.0.0/12", "100.64.0.0/10")))),
    ("unique local IPv6", (ip_network("fc00::/7"),)),
    ("link-local IPv6", (ip_network("fe80::/10"),)),
)
PREFERENCE: tuple[tuple[InterfaceKind, AddressKind], ...] = (
    ("network", "private IPv4"),
    ("network", "unique local IPv6"),
    ("tunnel", "private IPv4"),
    ("tunnel", "unique local IPv6"),
    ("network", "link-local IPv6"),
    ("bridge", "private IPv4"),
    ("bridge", "unique local IPv6"),
    ("tunnel", "link-local IPv6"),
    ("bridge", "link-local IPv6"),
)
"""Best first. Inside a container the only interface may look like a bridge's end: then it is chosen all the same."""
TUNNEL_NAMES = ("tun", "tap", "utun", "wg", "tailscale", "zt", "ppp", "ipsec", "nordlynx")
BRIDGE_NAMES = (
    *("docker", "br-", "veth", "cni", "podman", "lxcbr", "lxdbr"),
    *("virbr", "vnet", "vmnet", "vboxnet", "bridge100"),
    *("awdl", "llw"),  # Apple's radio between devices: every Mac has a link-local address on it
)


@dataclass(frozen=True, slots=True)
class Interface:
    name: str
    addresses: tuple[str, ...]
    is_up: bool = True
    has_default_route: bool = False
    is_hardware: bool = False
    """There is a device behind it, as far as the system tells."""


@dataclass(frozen=True, slots=True)
class AddressChoice:
    host: str
    """With its zone where it needs one: `fe80::1%eth0`."""
    why: str
    interface: str = ""
    """Empty for localhost."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    address: str
    kind: AddressKind
    interface: Interface

    def rank(self) -> tuple[int, bool, bool, str, int]:
        preference = PREFERENCE.index((interface_kind(self.interface.name), self.kind))
        # The order of names and addresses decides the rest, so that a restart chooses the same again.
        bare = int(ip_address(self.address.partition("%")[0]))
        return (
            preference,
            not self.interface.has_default_route,
            not self.interface.is_hardware,
            self.interface.name,
            bare,
        )


def choose_lan_address(interfaces: Iterable[Interface]) -> AddressChoice:
    """The private address that other machines most likely reach; localhost where there is none."""
    ranked = sorted(_candidates(interfaces), key=_Candidate.rank)
    if not ranked:
        return AddressChoice(LOCALHOST, "no interface that is up has a private address; only this machine is served")
    best = ranked[0]
    return AddressChoice(best.address, _why(best, ranked[1:]), best.interface.name)


def _candidates(interfaces: Iterable[Interface]) -> Iterator[_Candidate]:
    for interface in interfaces:
        for address in interface.addresses if interface.is_up else ():
            if (kind := address_kind(address)) is not None:
                yield _Candidate(address, kind, interface)


def address_kind(address: str) -> AddressKind | None:
    """None for all that is not private: public, loopback, multicast, or no address at all."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return next((kind for kind, networks in NETWORKS if any(parsed in network for network in networks)), None)


def interface_kind(name: str) -> InterfaceKind:
    """By its name: no system tells it in another way that works on all of them."""
    if name.startswith(BRIDGE_NAMES):
        return "bridge"
    return "tunnel" if name.startswith(TUNNEL_NAMES) else "network"


def _why(best: _Candidate, others: Iterable[_Candidate]) -> str:
    route = ", which has the default route" if best.interface.has_default_route else ""
    passed_over = {best.interface.name: best.address}
    for other in others:
        passed_over.setdefault(other.interface.name, other.address)
    rest = [f"{address} of {name}" for name, address in passed_over.items() if name != best.interface.name]
    return f"{best.kind} of {best.interface.name}{route}" + (f"; rather than {', '.join(rest)}" if rest else "")


def lan_address() -> AddressChoice:
    """Asks the system which interfaces there are, now; sends nothing."""
    return choose_lan_address(read_interfaces())


def read_interfaces() -> tuple[Interface, ...]:
    routed = _default_route_sources()
    states = psutil.net_if_stats()
    return tuple(
        _interface(name, [entry.address for entry in entries], name in states and states[name].isup, routed)
        for name, entries in psutil.net_if_addrs().items()
    )


def _interface(name: str, listed: Sequence[str], is_up: bool, routed: frozenset[str]) -> Interface:
    addresses = tuple(_with_zone(address, name) for address in listed if address_kind(address) is not None)
    return Interface(
        name=name,
        addresses=addresses,
        is_up=is_up,
        has_default_route=any(address.partition("%")[0] in routed for address in listed),
        is_hardware=Path("/sys/class/net", name, "device").exists(),
    )


def _with_zone(address: str, interface: str) -> str:
    parsed = ip_address(address)
    needs_zone = isinstance(parsed, IPv6Address) and parsed.is_link_local and parsed.scope_id is None
    return f"{address}%{interface}" if needs_zone else address


def _default_route_sources() -> frozenset[str]:
    """The addresses that packets to the outside leave from. Connecting a UDP socket asks the routing table only."""
    outside = ((socket.AF_INET, "198.51.100.1"), (socket.AF_INET6, "2001:db8::1"))  # for documentation: nobody's
    found = set()
    for family, address in outside:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((address, 9))
                found.add(str(probe.getsockname()[0]).partition("%")[0])
        except OSError:
            continue
    return frozenset(found)
