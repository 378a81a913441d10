"""Prints whither this host opens TCP connections, on any of its interfaces: one JSON list a line, at each new one.

python -m tests.lab.dial_watcher
"""

from __future__ import annotations

import json
import socket
import struct
import sys

EVERY_PROTOCOL = 3
"""ETH_P_ALL: what is sent too."""
IPV4, IPV6, TCP = 0x0800, 0x86DD, 6
SYN, ACK = 0x02, 0x10


def dialled(kind: int, packet: bytes) -> tuple[str, int] | None:
    """The destination of a first packet of a connection."""
    if kind == IPV4 and len(packet) >= 20 and packet[9] == TCP:
        host, segment = socket.inet_ntop(socket.AF_INET, packet[16:20]), packet[(packet[0] & 15) * 4 :]
    elif kind == IPV6 and len(packet) >= 40 and packet[6] == TCP:
        host, segment = socket.inet_ntop(socket.AF_INET6, packet[24:40]), packet[40:]
    else:
        return None
    if len(segment) < 14 or segment[13] & (SYN | ACK) != SYN:
        return None
    return host, struct.unpack(">H", segment[2:4])[0]


def main() -> None:
    seen: set[tuple[str, int]] = set()
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(EVERY_PROTOCOL)) as ear:
        sys.stdout.write("[]\n")
        sys.stdout.flush()
        while True:
            packet, (_, kind, direction, *_rest) = ear.recvfrom(2048)
            target = dialled(kind, packet) if direction == socket.PACKET_OUTGOING else None
            if target is not None and target not in seen:
                seen.add(target)
                sys.stdout.write(json.dumps(sorted(seen)) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
