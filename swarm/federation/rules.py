"""What a decision depends on besides the votes: who was invited, what they are worth, what a vote may look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from swarm.domain.federation import PeerVote
from swarm.domain.ids import NodeId

UNKNOWN_RELIABILITY = 1.0
LARGEST_RELIABILITY = 2.5


@dataclass(frozen=True, slots=True)
class VoteRules:
    """The same for every step of one vote; fixed before the first answer, so that an early end changes nothing."""

    invited: tuple[NodeId, ...] = ()
    """All who were asked. Empty: those whose votes are there."""
    local: NodeId | None = None
    """This node; preferred in ties."""
    model: str | None = None
    """The model that the client named; its answers are preferred in ties."""
    reliability: Mapping[NodeId, float] = field(default_factory=dict)
    """From history, 0 to 2.5; a node without any counts 1."""
    names: Mapping[NodeId, str] = field(default_factory=dict)
    text_limit_chars: int = 256 * 1024

    def reliability_of(self, node: NodeId) -> float:
        return min(max(self.reliability.get(node, UNKNOWN_RELIABILITY), 0.0), LARGEST_RELIABILITY)

    def name_of(self, node: NodeId) -> str:
        return self.names.get(node) or node[:8]

    def electorate(self, votes: Sequence[PeerVote]) -> frozenset[NodeId]:
        return frozenset(self.invited) or frozenset(vote.node for vote in votes)
