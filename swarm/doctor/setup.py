"""What the doctor is told of this machine and of what the daemon would run with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from swarm.doctor.addresses import LocalAddress
from swarm.doctor.mdns_packet import Dialect
from swarm.domain.ids import NodeId
from swarm.domain.nodes import Endpoint


@dataclass(frozen=True, slots=True)
class Setup:
    listen: Endpoint
    """Where the API is to listen."""
    interface: str
    """Of that address; empty where no interface has it."""
    addresses: tuple[LocalAddress, ...]
    """Best first."""
    chain_port: int
    """0 takes any free one."""
    data_dir: Path
    lock_name: str
    node: NodeId | None
    """By the key in the data folder; None where there is none."""
    said_api: Endpoint | None
    """Where the last daemon of the data folder said that it listens."""
    configured: tuple[Endpoint, ...]
    mdns: bool
    dialect: Dialect
    version: str
    protocol: int
