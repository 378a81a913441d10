"""The weight of a vote: reliability × duplication × confidence, as a range while other votes are still to come.

Model digest and log-probability are a node's own claims. Together they move its weight by less than what would let a
minority of up to nine nodes without history outvote a majority: they only order answers that are otherwise tied.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from swarm.domain.federation import PeerVote
from swarm.domain.ids import NodeId
from swarm.federation.rules import VoteRules

CONFIDENCE_SPREAD = 0.1
"""Confidence moves a weight by at most this share: without history it is a rank within this vote, easily inflated."""
SAME_MODEL_CORRELATION = 0.1
"""Answers of one model err together; each further node with it makes every one of them count less."""
SMALLEST_DUPLICATION = 0.9
TRUNCATED = 0.5
"""Of an answer that was cut off at the token limit."""
LARGEST_SHARE = 0.4
"""Of the weight of all invited, that one node may have where three or more are invited; a half where two are."""


@dataclass(frozen=True, slots=True)
class Range:
    """What a value can still become when the pending votes arrive; a point once all have."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class VoteWeight:
    reliability: float
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


def weigh(valid: Sequence[PeerVote], electorate: frozenset[NodeId], rules: VoteRules, pending: int) -> list[VoteWeight]:
    """One weight a valid vote, in order; `pending` nodes may still add theirs."""
    nodes_of_model: defaultdict[str, set[NodeId]] = defaultdict(set)
    candidates_of_node: defaultdict[NodeId, int] = defaultdict(int)
    for vote in valid:
        nodes_of_model[vote.model_digest].add(vote.node)
        candidates_of_node[vote.node] += 1
    cap = _cap(electorate, rules)
    return [
        VoteWeight(
            reliability=rules.reliability_of(vote.node),
            duplication=_duplication(len(nodes_of_model[vote.model_digest]) if vote.model_digest else 1, pending),
            confidence=confidence,
            completeness=TRUNCATED if vote.finish_reason == "length" else 1.0,
            share=1 / candidates_of_node[vote.node],
            cap=cap,
        )
        for vote, confidence in zip(valid, _confidences(valid, pending), strict=True)
    ]


def largest_weight(node: NodeId, electorate: frozenset[NodeId], rules: VoteRules) -> float:
    """What a node whose vote is not there yet can add to one answer at most."""
    return min(rules.reliability_of(node) * (1 + CONFIDENCE_SPREAD), _cap(electorate, rules))


def _cap(electorate: frozenset[NodeId], rules: VoteRules) -> float:
    """Fixed by who was invited, not by who has answered: else an early decision could differ from the final one."""
    total = sum(rules.reliability_of(node) for node in sorted(electorate))
    match len(electorate):
        case 0 | 1:
            return float("inf")
        case 2:
            return total / 2
        case _:
            return total * LARGEST_SHARE


def _duplication(nodes: int, pending: int) -> Range:
    return Range(_duplication_of(nodes + pending), _duplication_of(nodes))


def _duplication_of(nodes: int) -> float:
    return max(1 / (1 + (nodes - 1) * SAME_MODEL_CORRELATION), SMALLEST_DUPLICATION)


def _confidences(valid: Sequence[PeerVote], pending: int) -> list[Range]:
    """By the share of the other nodes whose answers are less probable; a node counts once, however many it gives."""
    alone = pending == 0 and len({vote.node for vote in valid}) == 1
    rivals = [str(index) if alone else vote.node for index, vote in enumerate(valid)]
    claims: defaultdict[str, list[float]] = defaultdict(list)
    for rival, vote in zip(rivals, valid, strict=True):
        if vote.mean_logprob is not None:
            claims[rival].append(vote.mean_logprob)
    return [
        _confidence(vote.mean_logprob, [claims[other] for other in sorted(claims) if other != rival], pending)
        for rival, vote in zip(rivals, valid, strict=True)
    ]


def _confidence(claim: float | None, others: Sequence[Sequence[float]], pending: int) -> Range:
    """Pending nodes may rank below this one, above it, or claim nothing."""
    everyone = len(others) + pending
    if claim is None or everyone == 0:
        return Range(1.0, 1.0)
    beaten = sum(_share_below(claim, group) for group in others)
    return _spread(beaten / everyone, (beaten + pending) / everyone)


def _share_below(value: float, group: Sequence[float]) -> float:
    return sum(1.0 if other < value else 0.5 if other == value else 0.0 for other in group) / len(group)


def _spread(lowest: float, highest: float) -> Range:
    return Range(1 + CONFIDENCE_SPREAD * (2 * lowest - 1), 1 + CONFIDENCE_SPREAD * (2 * highest - 1))
