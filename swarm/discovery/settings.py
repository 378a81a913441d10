"""What can be set about discovery, with its default and the reason for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DiscoverySettings:
    mdns: bool = True
    """Announce this node and listen for others by multicast."""
    peers: tuple[str, ...] = ()
    """HOST:PORT of nodes to probe in any case, where multicast is blocked."""
    ask_every_s: float = 10.0
    """Our own question is repeated: zeroconf's browser asks four times in 14 s and then never again, so that a peer
    that joined during a cut would not be found after it."""
