"""The two switches of a LAN, seen from outside: the kernel's bridge, and one in user space with bad links."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.lab import switch
from tests.lab.host import Host

PROGRAM = (sys.executable, "-I", "-S", str(Path(switch.__file__).resolve()))


class KernelBridge:
    """Fast and without faults but cuts."""

    def __init__(self, hub: Host) -> None:
        self._hub = hub

    def prepare(self, host: Host) -> None:
        """Nothing to do at the host's end of the cable."""

    def start(self, ports: Sequence[str]) -> None:
        # With snooping and no querier a bridge drops multicast after some minutes.
        options = ("type", "bridge", "stp_state", "0", "mcast_snooping", "0", "forward_delay", "0")
        self._hub.network("ip", "link", "add", "br0", *options)
        self._hub.network("ip", "link", "set", "br0", "up")
        for port in ports:
            self.heal(port)

    def cut(self, port: str) -> None:
        self._hub.network("ip", "link", "set", port, "nomaster")

    def heal(self, port: str) -> None:
        self._hub.network("ip", "link", "set", port, "master", "br0")


class UserSwitch:
    """`switch.py` on the hub; each command has taken effect when its method returns."""

    def __init__(self, hub: Host) -> None:
        self._hub = hub
        self._process: subprocess.Popen[str] | None = None

    def prepare(self, host: Host) -> None:
        host.network(*PROGRAM, "--raw-frames", "eth0")

    def start(self, ports: Sequence[str]) -> None:
        self._process = self._hub.start(*PROGRAM, *ports, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self._reply() != {"ready": len(ports)}:
            raise RuntimeError("the switch did not start")

    def cut(self, port: str) -> None:
        self._command({"set": "link", "port": port, "up": False})

    def heal(self, port: str) -> None:
        self._command({"set": "link", "port": port, "up": True})

    def block(self, source: str, target: str, *, on: bool) -> None:
        self._command({"set": "block", "source": source, "target": target, "on": on})

    def shape(self, port: str, shape: switch.Shape) -> None:
        self._command({"set": "shape", "port": port, "shape": asdict(shape)})

    def _command(self, command: dict[str, object]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        if self._reply() != {"done": True}:
            raise RuntimeError(f"the switch refused {command}")

    def _reply(self) -> object:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the switch has ended")
        return json.loads(line)
