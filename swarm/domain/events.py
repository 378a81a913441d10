"""What happened to the membership; in the past tense."""

from __future__ import annotations

from dataclasses import dataclass

from swarm.domain.ids import NodeId
from swarm.domain.nodes import BlockSpan, PeerInfo


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


@dataclass(frozen=True, slots=True)
class PeerCheck:
    """This node, or a third one, computed a span of a peer's blocks again and compared."""

    node: NodeId
    """As the peer names itself in the chain; `server` is what the connection proves."""
    server: str
    """Its libp2p id."""
    span: BlockSpan
    agrees: bool
    difference: float
    """Relative to the right result."""


MembershipEvent = PeerJoined | PeerChanged | PeerSuspected | PeerLeft
