"""What can be set about this machine and its logs, with its default and the reason for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]


@dataclass(frozen=True, slots=True)
class HostSettings:
    data_dir: str = ""
    """Folder of the node's key and state; empty is the system's place for them. One daemon a folder."""
    name: str = ""
    """What people call this machine on the status page; empty is its host name."""


@dataclass(frozen=True, slots=True)
class LogSettings:
    level: LogLevel = "info"
    """`info` tells what an operator wants to know; `debug` adds what a developer does."""
    format: LogFormat = "text"
    """`json` writes one object a line, for collectors."""
