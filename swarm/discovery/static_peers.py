"""Peers that the operator names: they are found where multicast is blocked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import AddressValueError, IPv6Address, ip_address

from swarm.domain.errors import ConfigError
from swarm.domain.nodes import Endpoint

HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?", re.ASCII)
LOOKS_NUMERIC = re.compile(r"[0-9.]+", re.ASCII)
NAME_LIMIT = 253
"""Characters of a host name (RFC 1035, section 3.1)."""
HOW = "write HOST:PORT, such as 192.168.1.20:17615, nas.local:17615 or [fd00::20]:17615"


def static_endpoints(peers: Iterable[str]) -> tuple[Endpoint, ...]:
    """Each once, in the order given. Raises `ConfigError`."""
    return tuple(dict.fromkeys(map(parse_endpoint, peers)))


def parse_endpoint(text: str) -> Endpoint:
    """Raises `ConfigError`, which names what was written and says what to write."""
    host, colon, port = text.strip().rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) or not 1 <= int(port) <= 65535:
        raise ConfigError(f"The peer {_shown(text)} has no port from 1 to 65535: {HOW}.")
    if host.startswith("[") and host.endswith("]"):
        return Endpoint(_ipv6(host[1:-1], text), int(port))
    if ":" in host:
        raise ConfigError(f"The peer {_shown(text)} is an IPv6 address without brackets: {HOW}.")
    return Endpoint(_ipv4_or_name(host, text), int(port))


def _ipv6(host: str, text: str) -> str:
    try:
        address = IPv6Address(host)
    except AddressValueError:
        raise ConfigError(f"The peer {_shown(text)} has no IPv6 address in its brackets: {HOW}.") from None
    return _unicast(str(address), text)


def _ipv4_or_name(host: str, text: str) -> str:
    try:
        return _unicast(str(ip_address(host)), text)
    except ValueError:
        is_name = HOST_NAME.fullmatch(host) and len(host) <= NAME_LIMIT and not LOOKS_NUMERIC.fullmatch(host)
    if not is_name:
        raise ConfigError(f"The peer {_shown(text)} has neither an address nor a host name: {HOW}.")
    return host.lower()


def _unicast(host: str, text: str) -> str:
    address = ip_address(host)
    if address.is_unspecified or address.is_multicast or host == "255.255.255.255":
        raise ConfigError(f"The peer {_shown(text)} is not the address of one machine: {HOW}.")
    return host


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
