"""What can be set about federation, with its default and the reason for it."""

from __future__ import annotations

from dataclasses import dataclass

from swarm.domain.ids import StrategyName, TrustMode


@dataclass(frozen=True, slots=True)
class FederationSettings:
    enabled: bool = False
    """Fan every chat request out to the peers and decide among the answers."""
    strategy: StrategyName = "weighted_vote"
    """Within a point of the most at every size measured, and it asks nobody twice; one liar cannot turn it."""
    instances: int = 1
    """Candidates that this node contributes to a vote, each with its own seed."""
    fan_out: int = 6
    """Peers asked at most; accuracy is flat beyond seven voters."""
    resume_s: float = 30.0
    """How long an answer that broke off waits for this node's own model, where no peer can go on with it."""
    deadline_s: float = 60.0
    """No vote is waited for longer than this."""
    patience: float = 2.0
    """Votes later than this multiple of the median one's time are not waited for."""
    trust: TrustMode = "open"
    """Whose vote counts how much before there is a record; right for the machines of one owner."""
    anchors: tuple[str, ...] = ()
    """Ids of nodes that are trusted as this one is."""
    keep_texts: bool = False
    """Remember prompts and answers with the last decisions; anybody on the network can read those."""
    examine_every_s: float = 60.0
    """Mean time between two questions with known answers, from which reputations are learned; a few tokens each."""
