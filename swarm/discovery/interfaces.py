"""The networks of the interface that has an address."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface

import ifaddr

from swarm.discovery.service_record import Network


def networks_of(host: str) -> tuple[Network, ...]:
    """Raises `OSError` where no interface has the address, `ValueError` where it is none."""
    wanted = ip_address(without_zone(host))
    for adapter in ifaddr.get_adapters():
        interfaces = [
            ip_interface(f"{without_zone(_text(address))}/{address.network_prefix}") for address in adapter.ips
        ]
        if any(interface.ip == wanted for interface in interfaces):
            return tuple(interface.network for interface in interfaces)
    if wanted.is_loopback:  # 127.0.0.2 and its like belong to no interface by name.
        return (ip_interface(f"{wanted}/{8 if wanted.version == 4 else 128}").network,)
    raise OSError(f"no interface has the address {host}")


def without_zone(host: str) -> str:
    """`fe80::1%eth0` is `fe80::1` to everybody else."""
    return host.partition("%")[0]


def _text(address: ifaddr.IP) -> str:
    return address.ip if isinstance(address.ip, str) else address.ip[0]
