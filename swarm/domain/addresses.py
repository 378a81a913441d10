"""Addresses that strangers name: what is never dialled, wherever it was heard."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

LOWEST_PORT = 1024
"""Ports below are other services': no stranger's word makes this node knock there."""
METADATA_ADDRESSES = (ip_address("169.254.169.254"), ip_address("fd00:ec2::254"))
"""Where clouds keep a machine's secrets."""

Address = IPv4Address | IPv6Address


def parse_address(host: str) -> Address | None:
    """An IPv4 address in IPv6's clothes is what it stands for; None for names and nonsense."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def is_one_machine(address: Address) -> bool:
    """Neither a group nor a place holder, nor where a cloud keeps secrets."""
    is_special = address.is_multicast or address.is_unspecified or address.is_reserved
    return not is_special and address not in METADATA_ADDRESSES
