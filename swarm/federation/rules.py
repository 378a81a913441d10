"""What a decision depends on besides the votes: who was invited, what they are worth, what a vote may look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from swarm.domain.answers import AnswerForm
from swarm.domain.federation import PeerVote
from swarm.domain.ids import NodeId, TrustMode
from swarm.federation.confidence import NO_RECORD, ConfidenceRecord

UNKNOWN_RELIABILITY = 2 / 3
"""The mean of a Beta(2, 1): an honest node, before anything is known of it."""

CandidateKey = tuple[NodeId, str]
"""The author and the text of a candidate."""

CrossScores = Mapping[CandidateKey, Mapping[NodeId, float]]


@dataclass(frozen=True, slots=True)
class VoteRules:
    """The same for every step of one vote; fixed before the first answer, so that an early end changes nothing."""

    invited: tuple[NodeId, ...] = ()
    """All who were asked. Empty: those whose votes are there."""
    local: NodeId | None = None
    """This node; preferred in ties."""
    model: str | None = None
    """The model that the client named; its answers are preferred in ties."""
    form: AnswerForm = field(default_factory=AnswerForm)
    """What the request says about its answers."""
    trust: TrustMode = "open"
    reliability: Mapping[NodeId, float] = field(default_factory=dict)
    """The chance that a node's answer is right, from its record, 0 to 1; `UNKNOWN_RELIABILITY` where it has none."""
    confidence: Mapping[NodeId, ConfidenceRecord] = field(default_factory=dict)
    """How sure each node has been before; without a record its claims count for nothing."""
    cross_scores: CrossScores = field(default_factory=dict)
    """Mean log-probability of a candidate by each node that scored it; an author's own is not looked at."""
    names: Mapping[NodeId, str] = field(default_factory=dict)
    text_limit_chars: int = 256 * 1024

    def reliability_of(self, node: NodeId) -> float:
        return self.reliability.get(node, UNKNOWN_RELIABILITY)

    def confidence_of(self, node: NodeId) -> ConfidenceRecord:
        return self.confidence.get(node, NO_RECORD)

    def name_of(self, node: NodeId) -> str:
        return self.names.get(node) or node[:8]

    def electorate(self, votes: Sequence[PeerVote]) -> frozenset[NodeId]:
        return frozenset(self.invited) or frozenset(vote.node for vote in votes)
