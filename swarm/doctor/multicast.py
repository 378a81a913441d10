"""Asks over mDNS and listens: does our own packet come back, and who else speaks?"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from dataclasses import dataclass, field
from ipaddress import ip_address

from swarm.doctor.mdns_packet import Dialect, adverts_in, question
from swarm.doctor.remedies import MDNS_PORT
from swarm.domain.nodes import Advert

GROUP_IPV4, GROUP_IPV6 = "224.0.0.251", "ff02::fb"
ASK_AT_S = (0.0, 1.1)
"""The first may be lost; responders do not repeat an answer within a second (RFC 6762, section 6)."""
LISTEN_S = 2.4
MOST_PACKETS = 2000
IP_MULTICAST_ALL, IPV6_MULTICAST_ALL = 49, 29
"""Linux: off, a socket hears only what came in by the interface that it joined on. Python has no names for them."""


@dataclass(frozen=True, slots=True)
class MulticastFacts:
    host: str
    open_error: int | None = None
    """Of joining the group on the interface."""
    send_error: int | None = None
    heard_itself: bool = False
    machines: tuple[str, ...] = ()
    """Other addresses that sent any mDNS packet meanwhile."""
    adverts: tuple[Advert, ...] = ()
    """Of nodes, this one included where its daemon runs; each as said last."""


@dataclass(slots=True)
class _Ear(asyncio.DatagramProtocol):
    dialect: Dialect
    own_hosts: frozenset[str]
    asked: bytes
    heard_itself: bool = False
    machines: dict[str, None] = field(default_factory=dict)
    adverts: dict[tuple[str, str], Advert] = field(default_factory=dict)
    packets: int = 0

    def datagram_received(self, data: bytes, source: tuple[str | int, ...]) -> None:
        self.packets += 1
        if self.packets > MOST_PACKETS:
            return
        sender = str(source[0]).partition("%")[0]
        if sender in self.own_hosts:
            self.heard_itself = self.heard_itself or data == self.asked
        else:
            self.machines[sender] = None
        scope_id = int(source[3]) if len(source) == 4 and source[3] else None
        for advert in adverts_in(data, self.dialect, scope_id):
            self.adverts[advert.node, advert.boot] = advert

    def error_received(self, exc: Exception) -> None:
        """Sending tells its errors where it is done."""


async def listen_and_ask(host: str, interface: str, own_hosts: frozenset[str], dialect: Dialect) -> MulticastFacts:
    """Takes `LISTEN_S`. `interface` is needed for IPv6 alone. Never raises but for a cancel.

    `own_hosts` are all addresses of this machine, without zones: IPv6 multicast goes out from the link-local one.
    """
    try:
        opened = _join(host, interface)
    except OSError as error:
        return MulticastFacts(host, open_error=error.errno)
    with opened:
        ear = _Ear(dialect, own_hosts, question(dialect.service_type))
        send_error = await _converse(opened, host, ear)
    adverts = tuple(ear.adverts.values())
    return MulticastFacts(host, None, send_error, ear.heard_itself, tuple(ear.machines), adverts)


async def _converse(opened: socket.socket, host: str, ear: _Ear) -> int | None:
    """Fills the ear; the error number of the last sending."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: ear, sock=opened)
    try:
        send_error, waited_s = None, 0.0
        for at_s in ASK_AT_S:
            await asyncio.sleep(at_s - waited_s)
            send_error, waited_s = _send(opened, host, ear.asked), at_s
        await asyncio.sleep(LISTEN_S - waited_s)
    finally:
        transport.close()
    return send_error


def _send(opened: socket.socket, host: str, packet: bytes) -> int | None:
    """Straight from the socket: asyncio would keep the error for later, or for nobody."""
    try:
        opened.sendto(packet, (GROUP_IPV4 if _is_ipv4(host) else GROUP_IPV6, MDNS_PORT))
    except OSError as error:
        return error.errno
    return None


def _join(host: str, interface: str) -> socket.socket:
    """Shares the port with the daemon and the system's own responder. Raises `OSError`."""
    opened = socket.socket(socket.AF_INET if _is_ipv4(host) else socket.AF_INET6, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        (_join_ipv4 if _is_ipv4(host) else _join_ipv6)(opened, host, interface)
    except BaseException:
        opened.close()
        raise
    return opened


def _join_ipv4(opened: socket.socket, host: str, _interface: str) -> None:
    ours = socket.inet_aton(host)
    if sys.platform == "linux":
        opened.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
    opened.bind(("", MDNS_PORT))
    opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP_IPV4) + ours)
    opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, ours)
    opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
    opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)


def _join_ipv6(opened: socket.socket, host: str, interface: str) -> None:
    index = socket.if_nametoindex(host.partition("%")[2] or interface)
    opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if sys.platform == "linux":
        opened.setsockopt(socket.IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0)
    opened.bind(("::", MDNS_PORT))
    membership = socket.inet_pton(socket.AF_INET6, GROUP_IPV6) + struct.pack("@I", index)
    opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, membership)
    opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 1)


def _is_ipv4(host: str) -> bool:
    return ip_address(host.partition("%")[0]).version == 4
