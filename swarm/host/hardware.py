"""What this machine is made of, as far as the daemon needs to know."""

from __future__ import annotations

import os
import platform
import socket
from dataclasses import dataclass

import psutil

SUMMARY_LIMIT = 80
"""Characters: the summary travels in an mDNS TXT record, whose strings hold at most 255 bytes."""


@dataclass(frozen=True, slots=True)
class Hardware:
    system: str
    """`Linux`, `macOS` or `Windows`."""
    machine: str
    """The processor's architecture: `x86_64`, `arm64`."""
    cores: int
    """Logical processors that this process may use."""
    memory_bytes: int
    free_memory_bytes: int
    """What could be had now without swapping."""

    def summary(self) -> str:
        """One line for people, such as `Linux x86_64, 2 cores, 24 GiB`."""
        cores = "1 core" if self.cores == 1 else f"{self.cores} cores"
        return f"{self.system} {self.machine}, {cores}, {_gibibytes(self.memory_bytes)}"[:SUMMARY_LIMIT]


def _gibibytes(size: int) -> str:
    gibibytes = size / 2**30
    return f"{gibibytes:.1f} GiB" if gibibytes < 8 else f"{gibibytes:.0f} GiB"


def read_hardware() -> Hardware:
    memory = psutil.virtual_memory()
    system = platform.system()
    return Hardware(
        system="macOS" if system == "Darwin" else system or "unknown system",
        machine=platform.machine() or "unknown machine",
        cores=_usable_cores(),
        memory_bytes=memory.total,
        free_memory_bytes=memory.available,
    )


def _usable_cores() -> int:
    # A container or taskset may leave fewer cores than the machine has; macOS cannot tell.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return psutil.cpu_count() or 1


def machine_name(configured: str = "") -> str:
    """The name for people: what is configured, else the host name without its domain."""
    return configured or socket.gethostname().partition(".")[0] or "unnamed"
