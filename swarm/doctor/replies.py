"""What came back when a node was asked, as facts."""

from __future__ import annotations

from dataclasses import dataclass

from swarm.domain.nodes import NodeStatus


@dataclass(frozen=True, slots=True)
class Answered:
    status: NodeStatus
    round_trip_s: float
    clock_s: tuple[float, float] | None = None
    """Its clock less ours lies between these; None where it did not say the time."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The machine is there, and nobody listens on that port."""


@dataclass(frozen=True, slots=True)
class Silent:
    """Nothing came back in time."""

    evidence: str


@dataclass(frozen=True, slots=True)
class Strange:
    """Something answered, but no node that we understand."""

    evidence: str


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Its name has no address."""


Reply = Answered | Refused | Silent | Strange | Unresolved
