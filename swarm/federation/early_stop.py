"""Whether the votes still to come can change the answer. Where not, nobody is waited for and nothing is lost."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import assert_never

from swarm.domain.federation import PeerVote
from swarm.domain.ids import NodeId, StrategyName
from swarm.federation.best_of_n import CONSENSUS
from swarm.federation.rules import VoteRules
from swarm.federation.tally import Cluster, Entry, entries_of, exact_clusters
from swarm.federation.weights import Electorate, electorate_of

ROUNDING = 1e-6


def is_decided(
    strategy: StrategyName, votes: Sequence[PeerVote], pending: Collection[NodeId], rules: VoteRules
) -> bool:
    """True only where every vote that `pending` could send leaves the winning answer as it is."""
    waited_for = set(pending) - {vote.node for vote in votes}
    electorate = electorate_of(rules.electorate(votes) | waited_for | {vote.node for vote in votes}, rules)
    entries, _ = entries_of(votes, electorate, rules, pending=len(waited_for))
    if not waited_for or not entries:
        return not waited_for
    count = _Count(tuple(entries), electorate, frozenset(waited_for), rules)
    match strategy:
        case "first_valid" | "route":
            return True
        case "weighted_vote":
            return count.safe_leader() is not None
        case "best_of_n":
            leader = count.safe_leader()
            return leader is not None and len(leader.nodes) >= CONSENSUS
        case "abstain":
            return count.has_majority() or not count.can_have_majority()
        case "mbr":
            # A text still to come may lie between those that are there, and so be the most central one.
            return False
        case _:
            assert_never(strategy)


@dataclass(frozen=True, slots=True)
class _Count:
    """The valid votes so far, with what each can still weigh, and who may add to them."""

    entries: tuple[Entry, ...]
    electorate: Electorate
    pending: frozenset[NodeId]
    rules: VoteRules

    def safe_leader(self) -> Cluster | None:
        """An exact answer that outweighs, at its worst, any other at its best with all pending votes added."""
        leader = self._leader()
        if leader is None or not self._is_anchored(leader):
            return None
        rivals = [_best(cluster.entries) for cluster in exact_clusters(self.entries) if cluster != leader]
        # Free texts may yet fall into one cluster, whichever they are in now.
        rivals.append(_best(entry for entry in self.entries if not entry.answer.exact))
        return leader if _worst(leader.entries) > max(rivals) + self._to_come() + ROUNDING else None

    def has_majority(self) -> bool:
        """The leader outweighs, at its worst, all others together with all who are absent or pending at their best."""
        leader = self._leader()
        if leader is None or not self._is_anchored(leader):
            return False
        others = _best(entry for entry in self.entries if entry not in leader.entries)
        return _worst(leader.entries) > others + self._absent() + self._to_come() + ROUNDING

    def can_have_majority(self) -> bool:
        """Could any answer, with all pending votes added, still outweigh all others together?"""
        groups = [cluster.entries for cluster in exact_clusters(self.entries)]
        groups.append(tuple(entry for entry in self.entries if not entry.answer.exact))
        return any(
            _best(group) + self._to_come() + ROUNDING
            >= _worst(entry for entry in self.entries if entry not in group) + self._absent()
            for group in groups
        )

    def _leader(self) -> Cluster | None:
        return max(exact_clusters(self.entries), key=lambda cluster: _worst(cluster.entries), default=None)

    def _is_anchored(self, leader: Cluster) -> bool:
        """Whether this node's own vote, still to come or not, cannot take the answer from the leader."""
        if self.rules.trust != "anchored" or self.rules.local not in self.electorate.reliability:
            return True
        return self.rules.local in leader.nodes or 2 * len(leader.nodes) > len(self.electorate.reliability)

    def _to_come(self) -> float:
        return math.fsum(self.electorate.largest_weight(node, self.rules) for node in self.pending)

    def _absent(self) -> float:
        """What those weigh whose votes came and do not count."""
        there = self.pending | {entry.vote.node for entry in self.entries}
        return math.fsum(
            self.electorate.absent_weight(node) for node in self.electorate.reliability if node not in there
        )


def _best(entries: Iterable[Entry]) -> float:
    return math.fsum(entry.weight.high for entry in entries)


def _worst(entries: Iterable[Entry]) -> float:
    return math.fsum(entry.weight.low for entry in entries)
