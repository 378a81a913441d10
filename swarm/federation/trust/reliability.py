"""The chance that a node's answer is right, by its record: what its vote is weighed by."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from swarm.domain.ids import NodeId, TrustMode
from swarm.federation.trust.record import TrackRecord

PRIOR_RIGHT, PRIOR_WRONG = 2.0, 1.0
AGREEMENT = 0.25
"""Of one vote with or against a clear majority, in examinations: a majority of liars agrees as well."""
MOST_AGREEMENT = 0.5
"""All agreement together counts at most as one examination and this share of those there were."""
INVALID = 0.25
"""Of one vote that was none, in wrong answers."""
CAUGHT = 10.0
"""Of one wrong computation, in wrong answers: it was confirmed before it was told."""
NEWCOMER = 0.41
"""Chance of a node without a record among nodes with one: a quarter of their weight, as new names must cost much."""
ESTABLISHED = 20.0
"""Examinations after which a node is no newcomer."""

UNKNOWN = TrackRecord()


@dataclass(frozen=True, slots=True)
class Anchors:
    """Whom this node trusts without a record: itself, and those that the operator named."""

    mode: TrustMode = "open"
    local: NodeId | None = None
    named: frozenset[NodeId] = frozenset()

    def holds(self, node: NodeId) -> bool:
        return node == self.local or node in self.named


def reliabilities(
    nodes: Collection[NodeId], records: Mapping[NodeId, TrackRecord], anchors: Anchors
) -> dict[NodeId, float]:
    """0 to 1, by node, of those asked together; a vote compares them with each other."""
    if not nodes:
        return {}
    pool = {node: records.get(node, UNKNOWN) for node in nodes}
    usual_chance = median(posterior_mean(record) for record in pool.values())
    usual_count = min(ESTABLISHED, median(record.examined for record in pool.values()))
    return {
        node: _chance(_beyond_luck(record, usual_chance), record, usual_count, anchors.mode, anchors.holds(node))
        for node, record in pool.items()
    }


def _beyond_luck(record: TrackRecord, usual: float) -> float:
    """The posterior mean, drawn towards the pool's median as far as luck explains the distance: wholly within one
    standard deviation, by a quarter at two (the positive part of James and Stein's estimate, for each node by itself).
    Members as good as each other must not weigh differently because some were lucky in their last examinations."""
    right, wrong = _beta(record)
    away = posterior_mean(record) - usual
    luck = right * wrong / ((right + wrong) ** 2 * (right + wrong + 1))
    return usual + away * max(0.0, 1 - luck / away**2) if away else usual


def _chance(chance: float, record: TrackRecord, usual: float, mode: TrustMode, is_anchor: bool) -> float:
    """A newcomer's is drawn towards `NEWCOMER`; in `anchored` also where everybody is new, so that strangers together
    cannot outweigh us."""
    if is_anchor:
        return max(chance, PRIOR_RIGHT / (PRIOR_RIGHT + PRIOR_WRONG)) if mode == "anchored" else chance
    needed = ESTABLISHED if mode == "anchored" else usual
    share = 1.0 if needed < 1 else min(1.0, record.examined / needed)
    return min(chance, NEWCOMER + (chance - NEWCOMER) * share)


def posterior_mean(record: TrackRecord) -> float:
    """Of the chance to be right."""
    right, wrong = _beta(record)
    return right / (right + wrong)


def _beta(record: TrackRecord) -> tuple[float, float]:
    """The counts of a Beta posterior over right answers, with agreement and faults as weak evidence."""
    agreement = AGREEMENT * (record.agreed + record.disagreed)
    scale = AGREEMENT * min(1.0, (1 + MOST_AGREEMENT * record.examined) / agreement) if agreement else 0.0
    right = PRIOR_RIGHT + record.right + scale * record.agreed
    wrong = PRIOR_WRONG + record.wrong + scale * record.disagreed + INVALID * record.invalid + CAUGHT * record.caught
    return right, wrong


def named_anchors(names: Iterable[str]) -> frozenset[NodeId]:
    return frozenset(NodeId(name.strip()) for name in names)
