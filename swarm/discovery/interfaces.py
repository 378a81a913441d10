"""Where this node's addresses are: the interface that has each of them, and its networks."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_interface

import ifaddr

from swarm.discovery.service_record import Network


@dataclass(frozen=True, slots=True)
class Place:
    """An address of this node. The same address on an interface that was made anew is another place."""

    host: str
    """Without its zone."""
    interface: str
    index: int | None
    networks: tuple[Network, ...]
    """All of the interface."""

    @property
    def is_ipv6(self) -> bool:
        return isinstance(ip_address(self.host), IPv6Address)


def places_of(hosts: Iterable[str]) -> tuple[Place, ...]:
    """Of those that are there now; the others are left out."""
    found = []
    with suppress(OSError):  # An interface may vanish while it is read; the next look is soon.
        adapters = tuple(ifaddr.get_adapters())
        for host in hosts:
            with suppress(OSError, ValueError):
                found.append(_find(host, adapters))
    return tuple(found)


def without_zone(host: str) -> str:
    """`fe80::1%eth0` is `fe80::1` to everybody else."""
    return host.partition("%")[0]


def _find(host: str, adapters: Iterable[ifaddr.Adapter]) -> Place:
    """Raises `OSError` where no interface has the address, `ValueError` where it is none."""
    bare, _, zone = host.partition("%")
    wanted = ip_address(bare)
    for adapter in adapters:
        interfaces = [
            ip_interface(f"{without_zone(_text(address))}/{address.network_prefix}") for address in adapter.ips
        ]
        is_in_zone = zone in ("", adapter.name, adapter.nice_name, str(adapter.index))
        if is_in_zone and any(interface.ip == wanted for interface in interfaces):
            # Sorted and each once: addresses that come and go within a network are no change.
            networks = sorted({interface.network for interface in interfaces}, key=str)
            return Place(bare, adapter.nice_name, adapter.index, tuple(networks))
    if wanted.is_loopback:  # 127.0.0.2 and its like belong to no interface by name.
        network = ip_interface(f"{wanted}/{8 if wanted.version == 4 else 128}").network
        return Place(bare, "loopback", None, (network,))
    raise OSError(f"no interface has the address {host}")


def _text(address: ifaddr.IP) -> str:
    return address.ip if isinstance(address.ip, str) else address.ip[0]
