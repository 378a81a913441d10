"""One machine of the throw-away LAN: its namespaces, what runs in them, and its end."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
NAMESPACES = ("--net", "--uts", "--pid", "--mount")
BIRTH_S = 10.0


@dataclass(eq=False)
class Host:
    name: str
    address: str
    holder: subprocess.Popen[bytes]
    pid: int
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def inside(self, *command: str) -> list[str]:
        return ["nsenter", "-t", str(self.pid), "--net", "--uts", "--pid", "--mount", "--", *command]

    def run(self, *command: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        return run_checked(*self.inside(*command), timeout=timeout_s)

    def start(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(self.inside(*command), text=True, preexec_fn=death_with_parent(), **options)
        self.started.append(process)
        return process

    def signal(self, process: subprocess.Popen[str], number: signal.Signals) -> None:
        """To the program itself, which is the child of its `nsenter`."""
        for child in children(process.pid):
            os.kill(child, number)
        if number in (signal.SIGKILL, signal.SIGCONT):
            os.kill(process.pid, signal.SIGCONT)  # nsenter stops itself when its child is stopped

    def network(self, *command: str) -> str:
        """`ip` with pids as this process sees them: enters the network namespace only. Returns its output."""
        return run_checked("nsenter", "-t", str(self.pid), "--net", "--", *command).stdout

    def set_link(self, *, up: bool) -> None:
        """The cable at this host."""
        self.network("ip", "link", "set", "eth0", "up" if up else "down")

    def wait_until_connected(self) -> None:
        """The kernel may take a second to say that a new link is up; until then a daemon sees no network."""
        deadline = time.monotonic() + BIRTH_S
        while "state UP" not in self.network("ip", "-o", "link", "show", "eth0"):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the link of {self.name} did not come up")
            time.sleep(0.02)

    def crash(self) -> None:
        """Everything on this host dies at once; where the LAN still reaches it, the kernel first closes the sockets."""
        os.kill(self.pid, signal.SIGKILL)
        self.holder.wait(5)

    def remove(self) -> None:
        """The host with all that runs on it; also one that has crashed."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.holder.kill()
        self.holder.wait(5)
        for process in self.started:
            process.kill()  # Its program is dead; an nsenter that was stopped would wait for ever.
            process.wait(10)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()


def create_host(name: str, address: str) -> Host:
    holder = subprocess.Popen(
        [
            "unshare",
            *NAMESPACES,
            "--fork",
            "--kill-child",
            "--mount-proc",
            "sh",
            "-c",
            f"hostname {name}; exec sleep infinity",
        ],
        preexec_fn=death_with_parent(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + BIRTH_S
    while time.monotonic() < deadline and holder.poll() is None:
        with contextlib.suppress(OSError, IndexError):
            pid = children(holder.pid)[0]
            if Path(f"/proc/{pid}/comm").read_text().strip() == "sleep":
                return Host(name, address, holder, pid)
        time.sleep(0.005)
    holder.kill()
    holder.wait(5)
    raise RuntimeError(f"the namespaces of {name} did not come up")


def run_checked(*command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done


def death_with_parent() -> Callable[[], None]:
    """For the child, before it becomes another program. The kernel's parent is the thread that started it."""
    prctl = ctypes.CDLL(None).prctl  # Loaded here: a child of a process with threads must not wait for a lock.
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
