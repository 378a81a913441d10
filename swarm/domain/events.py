"""What happened to the membership; in the past tense."""

from __future__ import annotations

from dataclasses import dataclass

from swarm.domain.nodes import PeerInfo


@dataclass(frozen=True, slots=True)
class PeerJoined:
    peer: PeerInfo


@dataclass(frozen=True, slots=True)
class PeerChanged:
    """Its status differs in something other than load and counters, or it was a suspect and answered again."""

    peer: PeerInfo


@dataclass(frozen=True, slots=True)
class PeerSuspected:
    peer: PeerInfo


@dataclass(frozen=True, slots=True)
class PeerLeft:
    peer: PeerInfo
    reason: str


MembershipEvent = PeerJoined | PeerChanged | PeerSuspected | PeerLeft
