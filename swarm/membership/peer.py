"""One peer, as the table keeps it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Endpoint, Load, NodeStatus, PeerInfo
from swarm.wire.codec import PROTOCOL_VERSION

DEATHS = 3
DEATHS_WITHIN_S = 60.0
"""So many losses within so long put a peer on trial (serf's flap window)."""
STEADY_S = 30.0
"""How long it must then live without a break."""
COMES_AND_GOES = (
    f"It was lost {DEATHS} times within {DEATHS_WITHIN_S:g} s; "
    f"it gets no new work until it has lived for {STEADY_S:g} s without a break."
)


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
    silent_since: float = math.inf
    """Infinite while no probe waits for its answer."""
    suspected: bool = False
    refusals: int = 0
    """Refused probes in a row."""
    leaving_until: float = -math.inf
    """It said goodbye, or somebody in its name did: until then a single refusal is believed."""
    alternates: tuple[Endpoint, ...] = ()
    """What it announced last; tried when it falls silent."""
    on_trial_until: float = -math.inf
    """It came and went too often: until then it must live without a break before it gets work."""

    @property
    def node(self) -> NodeId:
        return self.status.node

    @property
    def boot(self) -> BootId:
        return self.status.boot

    @property
    def is_understood(self) -> bool:
        return self.status.protocol == PROTOCOL_VERSION

    @property
    def is_on_trial(self) -> bool:
        return self.on_trial_until > -math.inf

    def asked(self, now: float, probe_every_s: float) -> None:
        """Silence counts from the last word where that was the last probe's answer, else from the first question."""
        self.probed_at = now
        if self.silent_since == math.inf:
            self.silent_since = self.heard_at if now - self.heard_at <= 2 * probe_every_s else now

    def heard(self, status: NodeStatus, round_trip_s: float, now: float) -> None:
        self.status, self.round_trip_s, self.heard_at = status, round_trip_s, now
        self.silent_since = math.inf

    def info(self, now: float) -> PeerInfo:
        """One of another protocol is shown, but as a candidate, so that nobody gives it work."""
        return PeerInfo(
            node=self.node,
            boot=self.boot,
            endpoint=self.endpoint,
            standing="candidate"
            if not self.is_understood
            else "suspect"
            if self.suspected or self.is_on_trial
            else "alive",
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
        if self.suspected:
            return "It refuses connections." if self.refusals else "It does not answer."
        if self.is_on_trial:
            return COMES_AND_GOES
        return None


def differs(before: NodeStatus, after: NodeStatus) -> bool:
    """In something other than load, progress and counters, which change all the time."""
    return _lasting(before) != _lasting(after)


def _lasting(status: NodeStatus) -> NodeStatus:
    return replace(status, load=Load(), progress=None, requests=0, tokens=0, tokens_per_s=None)
