"""Every strategy by name: pure functions from votes to a result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from swarm.domain.federation import FederationResult, PeerVote
from swarm.domain.ids import StrategyName
from swarm.federation.abstain import abstain
from swarm.federation.best_of_n import best_of_n
from swarm.federation.first_valid import first_valid
from swarm.federation.mbr import mbr
from swarm.federation.rules import VoteRules
from swarm.federation.weighted_vote import weighted_vote

Strategy = Callable[[Sequence[PeerVote], VoteRules], FederationResult]

STRATEGIES: Mapping[StrategyName, Strategy] = MappingProxyType(
    {
        "weighted_vote": weighted_vote,
        "best_of_n": best_of_n,
        "first_valid": first_valid,
        "mbr": mbr,
        "abstain": abstain,
    }
)


def decide(strategy: StrategyName, votes: Sequence[PeerVote], rules: VoteRules) -> FederationResult:
    """Raises `Unavailable` where no vote is valid, and `Undecided` where the strategy would rather give no answer."""
    return STRATEGIES[strategy](votes, rules)
