"""`best_of_n`: what at least two agree on; else the text most like all others. Never an author's claim for itself."""

from __future__ import annotations

from collections.abc import Sequence

from swarm.domain.federation import FederationResult, PeerVote
from swarm.federation.ballots import nobody_valid, result
from swarm.federation.consensus import most_central, representative
from swarm.federation.rules import VoteRules
from swarm.federation.tally import Cluster, Tally, tally

CONSENSUS = 2
"""Independent votes for the same exact answer that come before any comparison of texts."""


def best_of_n(votes: Sequence[PeerVote], rules: VoteRules) -> FederationResult:
    """Raises `Unavailable` where no vote is valid."""
    counted = tally(votes, rules)
    if not counted.entries:
        raise nobody_valid(counted)
    agreed = next((cluster for cluster in counted.clusters if is_consensus(counted, cluster)), None)
    if agreed is not None:
        reason = f"{counted.backing(agreed)} agree on this answer"
        return result(counted, "best_of_n", representative(counted, agreed), agreed, reason)
    winner, cluster = most_central(counted)
    return result(counted, "best_of_n", winner, cluster, "no two agree: the text most like the others")


def is_consensus(counted: Tally, cluster: Cluster) -> bool:
    return cluster.exact and counted.backing(cluster) >= CONSENSUS
