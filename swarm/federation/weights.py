"""The weight of a vote: reliability × duplication × confidence, as a range while other votes are still to come.

Model digest and log-probability are a node's own claims. The digest moves a weight by less than what would let a
minority of up to nine nodes without history outvote a majority. Confidence moves it only by a record that was checked.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from swarm.domain.federation import PeerVote
from swarm.domain.ids import NodeId
from swarm.federation.rules import UNKNOWN_RELIABILITY, VoteRules

SAME_MODEL_CORRELATION = 0.1
"""Answers of one model err together; each further node with it makes every one of them count less."""
SMALLEST_DUPLICATION = 0.9
TRUNCATED = 0.5
"""Of an answer that was cut off at the token limit."""
LARGEST_SHARE = 0.4
"""Of the weight of all invited, that one node may have where three or more are invited; a half where two are."""
WRONG_ANSWERS = 2.0
"""A vote among three answers: one right, two wrong ones. A node right in a third of cases then knows nothing."""
LARGEST_RELIABILITY = 1.8
"""In votes of a node without history."""
_SURE = 0.99


@dataclass(frozen=True, slots=True)
class Range:
    """What a value can still become when the pending votes arrive; a point once all have."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class VoteWeight:
    reliability: float
    """In votes of a node without history."""
    duplication: Range
    confidence: Range
    completeness: float
    share: float
    """Of its node's one vote: a node with several candidates divides it among them."""
    cap: float

    @property
    def low(self) -> float:
        return self._of(self.duplication.low, self.confidence.low)

    @property
    def high(self) -> float:
        return self._of(self.duplication.high, self.confidence.high)

    @property
    def quality(self) -> float:
        """What tells the better of two members of the same answer."""
        return self.reliability * self.confidence.high

    def _of(self, duplication: float, confidence: float) -> float:
        return min(self.reliability * duplication * confidence * self.completeness, self.cap) * self.share

    @property
    def explanation(self) -> str:
        parts = [
            f"reliability {self.reliability:.2f}",
            f"duplication {self.duplication.high:.2f}",
            f"confidence {self.confidence.high:.2f}",
        ]
        if self.completeness < 1:
            parts.append(f"cut off {self.completeness:.2f}")
        if self.share < 1:
            parts.append(f"share of its node's vote {self.share:.2f}")
        return " × ".join(parts)


@dataclass(frozen=True, slots=True)
class Electorate:
    """All who were invited, with what each one's vote is worth before it is there."""

    reliability: Mapping[NodeId, float]
    """In votes of a node without history, 0 to `LARGEST_RELIABILITY`; twice that where this node counts twice."""

    @property
    def total(self) -> float:
        return math.fsum(self.reliability.values())

    @property
    def cap(self) -> float:
        """Fixed by who was invited, not by who has answered: else an early decision could differ from the final one."""
        match len(self.reliability):
            case 0 | 1:
                return math.inf
            case 2:
                return self.total / 2
            case _:
                return self.total * LARGEST_SHARE

    def absent_weight(self, node: NodeId) -> float:
        """What a node counts for that was invited and gave no valid vote."""
        return min(self.reliability[node], self.cap)

    def largest_weight(self, node: NodeId, rules: VoteRules) -> float:
        """What a node whose vote is not there yet can add to one answer at most."""
        return min(self.reliability[node] * rules.confidence_of(node).largest_factor, self.cap)


def electorate_of(nodes: frozenset[NodeId], rules: VoteRules) -> Electorate:
    """Log odds of being right, as Bayes would add them. Where even the best node is worse than a stranger is taken for,
    the questions are hard and not the nodes bad: then the odds count from the best one's."""
    log_odds = {node: _log_odds(rules.reliability_of(node)) for node in sorted(nodes)}
    stranger = _log_odds(UNKNOWN_RELIABILITY)
    lift = max(0.0, stranger - max(log_odds.values(), default=stranger))
    worth = {node: _worth(odds + lift, stranger) for node, odds in log_odds.items()}
    if rules.trust == "local_double" and rules.local in worth:
        worth[rules.local] *= 2
    return Electorate(worth)


def _log_odds(chance: float) -> float:
    bounded = min(max(chance, 1 - _SURE), _SURE) if math.isfinite(chance) else UNKNOWN_RELIABILITY
    return math.log(bounded / (1 - bounded))


def _worth(log_odds: float, stranger: float) -> float:
    against_guessing = math.log(WRONG_ANSWERS)
    worth = (log_odds + against_guessing) / (stranger + against_guessing)
    return round(min(max(worth, 0.0), LARGEST_RELIABILITY), 9)


def weigh(valid: Sequence[PeerVote], electorate: Electorate, rules: VoteRules, pending: int) -> list[VoteWeight]:
    """One weight a valid vote, in order; `pending` nodes may still add theirs."""
    nodes_of_model: defaultdict[str, set[NodeId]] = defaultdict(set)
    candidates_of_node: defaultdict[NodeId, int] = defaultdict(int)
    for vote in valid:
        nodes_of_model[vote.model_digest].add(vote.node)
        candidates_of_node[vote.node] += 1
    voters = len(candidates_of_node)
    return [
        VoteWeight(
            reliability=electorate.reliability[vote.node],
            duplication=_duplication(len(nodes_of_model[vote.model_digest]) if vote.model_digest else 1, pending),
            confidence=_confidence(rules.confidence_of(vote.node).factor(vote.mean_logprob), voters, pending),
            completeness=TRUNCATED if vote.finish_reason == "length" else 1.0,
            share=1 / candidates_of_node[vote.node],
            cap=electorate.cap,
        )
        for vote in valid
    ]


def _duplication(nodes: int, pending: int) -> Range:
    return Range(_duplication_of(nodes + pending), _duplication_of(nodes))


def _duplication_of(nodes: int) -> float:
    return max(1 / (1 + (nodes - 1) * SAME_MODEL_CORRELATION), SMALLEST_DUPLICATION)


def _confidence(factor: float, voters: int, pending: int) -> Range:
    """Between two nodes that disagree no certainty decides: one of them might lie, and nobody else can tell."""
    if voters > 2 or voters + pending < 2:
        return Range(factor, factor)
    if pending == 0:
        return Range(1.0, 1.0)
    return Range(min(factor, 1.0), max(factor, 1.0))
