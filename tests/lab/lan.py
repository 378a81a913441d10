"""A LAN of network namespaces that vanishes with the process that made it.

Each host is an anonymous net, pid, mount and uts namespace, held by one `sleep` whose parent's death kills it; a hub
namespace holds the bridge. Nothing is made in the machine's own network namespace, nothing has a name that could
collide, and nothing is routed out: the only addresses are 10.77.0.0/24 and loopback. As root, or under `unshare -Urn`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

SUBNET = "10.77.0"
PR_SET_PDEATHSIG = 1
NAMESPACES = ("--net", "--uts", "--pid", "--mount")


def why_not() -> str | None:
    """None where a LAN can be built, else the reason, for `pytest.skip`."""
    if sys.platform != "linux":
        return "needs Linux"
    missing = [tool for tool in ("ip", "unshare", "nsenter") if not shutil.which(tool)]
    if missing:
        return f"needs {', '.join(missing)} (iproute2 and util-linux)"
    tried = subprocess.run(["unshare", *NAMESPACES, "--fork", "--mount-proc", "true"], capture_output=True, text=True)
    return None if tried.returncode == 0 else f"cannot make namespaces: {tried.stderr.strip()} (root, or unshare -Urn)"


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _run(*command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done


@dataclass
class Host:
    """One machine of the LAN."""

    name: str
    address: str
    holder: subprocess.Popen[bytes]
    pid: int
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def inside(self, *command: str) -> list[str]:
        return ["nsenter", "-t", str(self.pid), "--net", "--uts", "--pid", "--mount", "--", *command]

    def run(self, *command: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        return _run(*self.inside(*command), timeout=timeout_s)

    def start(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(self.inside(*command), text=True, preexec_fn=_die_with_parent, **options)
        self.started.append(process)
        return process

    def signal(self, process: subprocess.Popen[str], number: signal.Signals) -> None:
        """To the program itself, which is the child of its `nsenter`."""
        for child in _children(process.pid):
            os.kill(child, number)
        if number == signal.SIGKILL:
            os.kill(process.pid, signal.SIGCONT)  # nsenter stops itself when its child is stopped

    def network(self, *command: str) -> None:
        """`ip` with pids as this process sees them: enters the network namespace only."""
        _run("nsenter", "-t", str(self.pid), "--net", "--", *command)

    def set_link(self, *, up: bool) -> None:
        """The cable at this host."""
        self.network("ip", "link", "set", "eth0", "up" if up else "down")

    def crash(self) -> None:
        """Everything on this host dies at once."""
        os.kill(self.pid, signal.SIGKILL)
        self.holder.wait(5)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Lan:
    """`hosts` machines on one switch; a context manager."""

    def __init__(self, hosts: int = 2) -> None:
        self._count = hosts
        self.hosts: list[Host] = []
        self._hub: Host | None = None

    def __enter__(self) -> Lan:
        try:
            self._build()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _build(self) -> None:
        hub = self._hub = self._host("hub", "")
        bridge = ("type", "bridge", "stp_state", "0", "mcast_snooping", "0", "forward_delay", "0")
        hub.network("ip", "link", "add", "br0", *bridge)
        hub.network("ip", "link", "set", "br0", "up")
        for number in range(1, self._count + 1):
            self._plug_in(hub, number)

    def _plug_in(self, hub: Host, number: int) -> None:
        host = self._host(f"host{number}", f"{SUBNET}.{number}")
        self.hosts.append(host)
        hub.network("ip", "link", "add", f"p{number}", "type", "veth", "peer", "name", "eth0", "netns", str(host.pid))
        hub.network("ip", "link", "set", f"p{number}", "master", "br0", "up")
        host.network("ip", "addr", "add", f"{host.address}/24", "dev", "eth0")
        host.network("ip", "link", "set", "lo", "up")
        host.set_link(up=True)

    def _host(self, name: str, address: str) -> Host:
        script = f"hostname {name}; exec sleep infinity"
        holder = subprocess.Popen(
            ["unshare", *NAMESPACES, "--fork", "--kill-child", "--mount-proc", "sh", "-c", script],
            preexec_fn=_die_with_parent,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and holder.poll() is None:
            with contextlib.suppress(OSError, IndexError):
                pid = _children(holder.pid)[0]
                if Path(f"/proc/{pid}/comm").read_text().strip() == "sleep":
                    return Host(name, address, holder, pid)
            time.sleep(0.005)
        holder.kill()
        holder.wait(5)
        raise RuntimeError(f"the namespaces of {name} did not come up")

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for host in [*self.hosts, *([self._hub] if self._hub else [])]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(host.pid, signal.SIGKILL)
            host.holder.kill()
            host.holder.wait(5)
            for process in host.started:
                process.wait(10)
                for stream in (process.stdin, process.stdout, process.stderr):
                    if stream:
                        stream.close()

    def cut(self, host: Host) -> None:
        """At the switch: the host sees its link up, and silence."""
        assert self._hub is not None
        self._hub.network("ip", "link", "set", f"p{self.hosts.index(host) + 1}", "nomaster")

    def heal(self, host: Host) -> None:
        assert self._hub is not None
        self._hub.network("ip", "link", "set", f"p{self.hosts.index(host) + 1}", "master", "br0")
