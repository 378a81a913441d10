"""`mbr`: the candidate that is most like all others (minimum Bayes risk); for open questions."""

from __future__ import annotations

from collections.abc import Sequence

from swarm.domain.federation import FederationResult, PeerVote
from swarm.federation.ballots import nobody_valid, result
from swarm.federation.consensus import most_central
from swarm.federation.rules import VoteRules
from swarm.federation.tally import tally


def mbr(votes: Sequence[PeerVote], rules: VoteRules) -> FederationResult:
    """Raises `Unavailable` where no vote is valid."""
    counted = tally(votes, rules)
    if not counted.entries:
        raise nobody_valid(counted)
    winner, cluster = most_central(counted)
    return result(counted, "mbr", winner, cluster, "the answer most like the others")
