"""Which system this is, as far as the commands that mend it differ."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

SystemKind = Literal["linux", "wsl", "macos"]
Firewall = Literal["ufw", "firewalld", "nft", "iptables"]
WSLINFO_S = 2.0


@dataclass(frozen=True, slots=True)
class System:
    kind: SystemKind
    firewall: Firewall = "iptables"
    """The one that is in charge, else the one whose command is there."""
    wsl_networking: str = ""
    """`nat`, `mirrored` and so on, as WSL says; empty where it does not say."""

    @property
    def is_behind_wsl_nat(self) -> bool:
        return self.kind == "wsl" and self.wsl_networking not in ("mirrored", "bridged")


def read_system() -> System:
    """Looks at files; runs nothing but WSL's own `wslinfo`."""
    kind = system_kind(sys.platform, _text(Path("/proc/version")))
    return System(kind, _firewall(), _wsl_networking() if kind == "wsl" else "")


def system_kind(platform: str, proc_version: str) -> SystemKind:
    if platform == "darwin":
        return "macos"
    return "wsl" if "microsoft" in proc_version.lower() else "linux"


def _firewall() -> Firewall:
    if "ENABLED=yes" in _text(Path("/etc/ufw/ufw.conf")):
        return "ufw"
    if Path("/run/firewalld.pid").exists():
        return "firewalld"
    return "nft" if shutil.which("nft") else "iptables"


def _wsl_networking() -> str:
    try:
        done = subprocess.run(["wslinfo", "--networking-mode"], capture_output=True, text=True, timeout=WSLINFO_S)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip().lower()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
