"""`weighted_vote`: the answer with the most weight behind it."""

from __future__ import annotations

from collections.abc import Sequence

from swarm.domain.federation import FederationResult, PeerVote
from swarm.federation.ballots import nobody_valid, result
from swarm.federation.consensus import anchored, most_central, representative
from swarm.federation.rules import VoteRules
from swarm.federation.tally import Cluster, Tally, tally


def weighted_vote(votes: Sequence[PeerVote], rules: VoteRules) -> FederationResult:
    """Raises `Unavailable` where no vote is valid."""
    counted = tally(votes, rules)
    if not counted.entries:
        raise nobody_valid(counted)
    leader = anchored(counted, counted.clusters[0])
    if leader is not counted.clusters[0]:
        reason = "this node's own answer: no other has a majority of the nodes"
        return result(counted, "weighted_vote", representative(counted, leader), leader, reason)
    if _only_scattered_texts(counted, leader):
        winner, cluster = most_central(counted)
        return result(counted, "weighted_vote", winner, cluster, "no majority among free texts: the most central one")
    reason = f"{counted.backing(leader)} of {_voters(counted)} gave this answer"
    return result(counted, "weighted_vote", representative(counted, leader), leader, reason)


def _only_scattered_texts(counted: Tally, leader: Cluster) -> bool:
    """Free texts that agree by chance are no majority; what they have in common is asked instead."""
    if any(entry.answer.exact for entry in counted.entries):
        return False
    return 2 * counted.backing(leader) <= _voters(counted)


def _voters(counted: Tally) -> int:
    return counted.backing(Cluster(counted.entries))
