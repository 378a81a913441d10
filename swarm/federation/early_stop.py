"""Whether the votes still to come can change the answer. Where not, nobody is waited for and nothing is lost."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from typing import assert_never

from swarm.domain.federation import PeerVote
from swarm.domain.ids import NodeId, StrategyName
from swarm.federation.best_of_n import CONSENSUS
from swarm.federation.rules import VoteRules
from swarm.federation.tally import Cluster, Entry, entries_of, exact_clusters
from swarm.federation.weights import largest_weight

ROUNDING = 1e-6


def is_decided(
    strategy: StrategyName, votes: Sequence[PeerVote], pending: Collection[NodeId], rules: VoteRules
) -> bool:
    """True only where every vote that `pending` could send leaves the winning answer as it is."""
    waited_for = set(pending) - {vote.node for vote in votes}
    electorate = rules.electorate(votes) | waited_for
    entries, _ = entries_of(votes, electorate, rules, pending=len(waited_for))
    if not waited_for or not entries:
        return not waited_for
    match strategy:
        case "first_valid":
            return True
        case "weighted_vote":
            return _safe_leader(entries, electorate, waited_for, rules) is not None
        case "best_of_n":
            leader = _safe_leader(entries, electorate, waited_for, rules)
            return leader is not None and len(leader.nodes) >= CONSENSUS
        case _:
            assert_never(strategy)


def _safe_leader(
    entries: Sequence[Entry], electorate: frozenset[NodeId], pending: set[NodeId], rules: VoteRules
) -> Cluster | None:
    """An exact answer that outweighs, at its worst, any other at its best with all pending votes added."""
    clusters = exact_clusters(entries)
    if not clusters:
        return None
    leader = max(clusters, key=lambda cluster: _sum(entry.weight.low for entry in cluster.entries))
    # Free texts may yet fall into one cluster, whichever they are in now.
    rivals = [_sum(entry.weight.high for entry in cluster.entries) for cluster in clusters if cluster is not leader]
    rivals.append(_sum(entry.weight.high for entry in entries if not entry.answer.exact))
    to_come = _sum(largest_weight(node, electorate, rules) for node in pending)
    worst = _sum(entry.weight.low for entry in leader.entries)
    return leader if worst > max(rivals) + to_come + ROUNDING else None


def _sum(weights: Iterable[float]) -> float:
    return math.fsum(weights)
