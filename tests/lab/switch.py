"""An Ethernet switch in user space, with links as bad as one likes on any kernel.

    python switch.py p1 p2 …            one JSON command a line on stdin, one reply a line on stdout
    python switch.py --raw-frames eth0  so that the interface sends what a cable could carry, then exit

Many kernels of virtual machines have no netem; this needs raw sockets only, also under `unshare -Urn`. A frame crosses
two ports, in and out, and at each pays half of that port's delay, jitter and loss. The order of frames is kept.
"""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import heapq
import itertools
import json
import math
import os
import random
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass
from typing import Any

ETH_P_ALL = 3
SOL_PACKET, PACKET_IGNORE_OUTGOING, PACKET_OUTGOING = 263, 23, 4
SIOCETHTOOL = 0x8946
OFFLOADS = {"tx checksum": 0x17, "scatter-gather": 0x19, "tso": 0x1F, "gso": 0x24, "gro": 0x2C}
"""ethtool's commands. With them on, frames arrive without checksums and larger than any cable takes."""
BUFFER_BYTES = 8 * 2**20
LONGEST_QUEUE_S = 0.1
"""Of a port with a rate; more is dropped."""
FRAMING_BYTES = 24
"""Preamble, check sequence and gap: they take their time on the wire, too."""
BURST = 64
"""Frames read from one port before the others get their turn."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One way between two hosts with such a link."""

    rate_mbit: float = 0.0
    """0: no limit."""
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    """Added to the delay: evenly distributed from 0 to this."""
    loss_pct: float = 0.0
    multicast_loss_pct: float = 0.0
    """On top, of multicast and broadcast: Wi-Fi never repeats these."""

    def is_lost(self, multicast: bool) -> bool:
        """At one of the two ports: what two of them let pass together is what the whole way lets pass."""
        chances = (self.loss_pct, self.multicast_loss_pct if multicast else 0.0)
        return any(chance and random.random() >= math.sqrt(max(0.0, 1 - chance / 100)) for chance in chances)

    def delay_s(self) -> float:
        """At one of the two ports."""
        return (self.delay_ms + self.jitter_ms * random.random()) / 2000

    def sending_s(self, size: int) -> float:
        return (size + FRAMING_BYTES) * 8 / (self.rate_mbit * 1e6) if self.rate_mbit else 0.0


class Wire:
    """One direction of a link: frames one after the other."""

    def __init__(self) -> None:
        self._free_at = 0.0

    def through_at(self, at: float, sending_s: float) -> float | None:
        """When a frame that comes at `at` has passed; None where the queue is full."""
        start = max(at, self._free_at)
        if start - at > LONGEST_QUEUE_S:
            return None
        self._free_at = start + sending_s
        return self._free_at


class Port:
    def __init__(self, name: str) -> None:
        self.name = name
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self.socket.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
        self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.socket.bind((name, 0))
        self.socket.setblocking(False)
        self.up = True
        self.shape = Shape()
        self.inwards, self.outwards = Wire(), Wire()
        self.last_due = 0.0
        """Of the frames on their way out; none overtakes another."""

    def read(self) -> list[bytes]:
        frames: list[bytes] = []
        with contextlib.suppress(OSError):  # Nothing left, or the interface is down or gone.
            while len(frames) < BURST:
                frame, address = self.socket.recvfrom(65536)
                if address[2] != PACKET_OUTGOING:
                    frames.append(frame)
        return frames if self.up else []

    def send(self, frame: bytes) -> None:
        if self.up:
            with contextlib.suppress(OSError):  # A full buffer or a missing host loses it, as a cable would.
                self.socket.send(frame)


class Switch:
    def __init__(self, names: list[str]) -> None:
        self._ports = {name: Port(name) for name in names}
        self._learned: dict[bytes, Port] = {}
        self._blocked: set[tuple[str, str]] = set()
        self._on_their_way: list[tuple[float, int, Port, bytes]] = []
        self._order = itertools.count()

    def run(self) -> None:
        """Until stdin ends."""
        by_descriptor = {port.socket.fileno(): port for port in self._ports.values()}
        commands = sys.stdin.fileno()
        while True:
            # select, not epoll: its timeout is finer than a millisecond.
            for descriptor in select.select([commands, *by_descriptor], (), (), self._send_due())[0]:
                if descriptor in by_descriptor:
                    self._forward_from(by_descriptor[descriptor])
                elif not self._obey(os.read(commands, 65536)):
                    return

    def _send_due(self) -> float | None:
        """Seconds until the next one is due."""
        while self._on_their_way and self._on_their_way[0][0] <= time.monotonic():
            _, _, port, frame = heapq.heappop(self._on_their_way)
            port.send(frame)
        return max(0.0, self._on_their_way[0][0] - time.monotonic()) if self._on_their_way else None

    def _forward_from(self, source: Port) -> None:
        for frame in source.read():
            target, sender, multicast = frame[:6], frame[6:12], bool(frame[0] & 1)
            self._learned[sender] = source
            at = self._cross(source.shape, source.inwards, frame, time.monotonic(), multicast)
            known = None if multicast else self._learned.get(target)
            for port in (known,) if known else self._ports.values():
                if port is not source and at is not None and (source.name, port.name) not in self._blocked:
                    self._forward_to(port, frame, at, multicast)

    def _forward_to(self, port: Port, frame: bytes, at: float, multicast: bool) -> None:
        due = self._cross(port.shape, port.outwards, frame, at, multicast)
        if due is not None:
            port.last_due = max(due, port.last_due)
            heapq.heappush(self._on_their_way, (port.last_due, next(self._order), port, frame))

    def _cross(self, shape: Shape, wire: Wire, frame: bytes, at: float, multicast: bool) -> float | None:
        if shape.is_lost(multicast):
            return None
        through = wire.through_at(at, shape.sending_s(len(frame)))
        return None if through is None else through + shape.delay_s()

    def _obey(self, data: bytes) -> bool:
        """False at the end. A line never comes in pieces: its sender waits for each reply."""
        for line in data.splitlines():
            self._set(json.loads(line))
            say({"done": True})
        return bool(data)

    def _set(self, command: dict[str, Any]) -> None:
        match command:
            case {"set": "link", "port": port, "up": bool(up)}:
                self._ports[port].up = up
            case {"set": "block", "source": source, "target": target, "on": bool(on)}:
                (self._blocked.add if on else self._blocked.discard)((source, target))
            case {"set": "shape", "port": port, "shape": shape}:
                self._ports[port].shape = Shape(**shape)
            case _:
                raise SystemExit(f"not a command: {command}")


def send_raw_frames(interface: str) -> None:
    """Turns the interface's offloads off; those that it does not have are off already."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for command in OFFLOADS.values():
            value = array.array("B", struct.pack("II", command, 0))
            try:
                fcntl.ioctl(any_socket, SIOCETHTOOL, struct.pack("16sP", interface.encode(), value.buffer_info()[0]))
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                    raise


def say(reply: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> None:
    if arguments[0] == "--raw-frames":
        send_raw_frames(arguments[1])
        return
    for name in arguments:
        send_raw_frames(name)
    switch = Switch(arguments)
    say({"ready": len(arguments)})
    switch.run()


if __name__ == "__main__":
    main(sys.argv[1:])
