"""`first_valid`: the first usable answer."""

from __future__ import annotations

from collections.abc import Sequence

from swarm.domain.federation import FederationResult, PeerVote
from swarm.federation.ballots import nobody_valid, result
from swarm.federation.rules import VoteRules
from swarm.federation.tally import tally


def first_valid(votes: Sequence[PeerVote], rules: VoteRules) -> FederationResult:
    """Raises `Unavailable` where no vote is valid."""
    counted = tally(votes, rules)
    if not counted.entries:
        raise nobody_valid(counted)
    fastest = counted.entries[0]
    cluster = next(cluster for cluster in counted.clusters if fastest in cluster.entries)
    return result(
        counted, "first_valid", fastest, cluster, f"the first valid answer, after {fastest.vote.latency_s:.2f} s"
    )
