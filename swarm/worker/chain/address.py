"""Where libp2p listens, and the key that it is known by."""

from __future__ import annotations

import contextlib
import logging
import socket
from dataclasses import dataclass
from pathlib import Path

from hivemind.p2p import PeerID

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Address:
    """Where libp2p listens."""

    host: str
    port: int
    identity_path: str
    node: str
    """This node's id, announced beside its blocks."""

    def multiaddr(self) -> str:
        kind = "ip6" if ":" in self.host else "ip4"
        return f"/{kind}/{self.host.split('%')[0]}/tcp/{self.port}"


def set_damaged_identity_aside(path: Path) -> None:
    """A key that libp2p could not read is renamed, so that it makes a new one instead of failing for ever."""
    if not path.is_file():
        return
    try:
        PeerID.from_identity(path.read_bytes())
    except Exception:  # whatever protobuf and the key parser raise for nonsense
        aside = path.with_name(f"{path.name}.corrupt")
        path.replace(aside)
        logger.warning("libp2p's key is damaged and was set aside: %s", aside)


def free_port(host: str, wanted: int, tries: int = 20) -> int:
    """`wanted`, or the next port that nobody listens on; libp2p takes only a number and fails late."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in [wanted + offset for offset in range(tries)] if wanted else [0]:
        with socket.socket(family, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    raise OSError(f"no free TCP port on {host} from {wanted} to {wanted + tries - 1}")
