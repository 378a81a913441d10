"""One peer, as the table keeps it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Endpoint, Load, NodeStatus, PeerInfo
from swarm.wire.codec import PROTOCOL_VERSION


@dataclass(slots=True)
class Peer:
    """A node that answered a probe for itself and has not been given up since."""

    endpoint: Endpoint
    status: NodeStatus
    """Its last words."""
    heard_at: float
    round_trip_s: float
    next_at: float
    """When it is probed next."""
    probed_at: float = -math.inf
    suspected: bool = False
    refusals: int = 0
    """Refused probes in a row."""
    leaving_until: float = -math.inf
    """It said goodbye, or somebody in its name did: until then a single refusal is believed."""
    alternates: tuple[Endpoint, ...] = ()
    """What it announced last; tried when it falls silent."""

    @property
    def node(self) -> NodeId:
        return self.status.node

    @property
    def boot(self) -> BootId:
        return self.status.boot

    @property
    def is_understood(self) -> bool:
        return self.status.protocol == PROTOCOL_VERSION

    def info(self, now: float) -> PeerInfo:
        """One of another protocol is shown, but as a candidate, so that nobody gives it work."""
        return PeerInfo(
            node=self.node,
            boot=self.boot,
            endpoint=self.endpoint,
            standing="candidate" if not self.is_understood else "suspect" if self.suspected else "alive",
            status=self.status,
            silent_s=max(0.0, now - self.heard_at),
            round_trip_s=self.round_trip_s,
            problem=self._problem(),
        )

    def _problem(self) -> str | None:
        if not self.is_understood:
            return (
                f"It speaks protocol {self.status.protocol} (version {self.status.version}), this node "
                f"{PROTOCOL_VERSION}; install the same version on both."
            )
        if not self.suspected:
            return None
        return "It refuses connections." if self.refusals else "It does not answer."


def differs(before: NodeStatus, after: NodeStatus) -> bool:
    """In something other than load, progress and counters, which change all the time."""
    return _lasting(before) != _lasting(after)


def _lasting(status: NodeStatus) -> NodeStatus:
    return replace(status, load=Load(), progress=None, requests=0, tokens=0, tokens_per_s=None)
