"""Which text speaks for an answer, and which text is closest to all others where no answer has a majority."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

from swarm.federation.similarity import contradict, similarity
from swarm.federation.tally import Cluster, Entry, Tally

TRIMMED_FROM = 5
"""Voters from which the likest other text of each is left out, so that two that collude do not prop each other up."""
CONTRADICTION = 0.5
"""What the likeness of two texts is multiplied by where they say different things."""


def representative(tally: Tally, cluster: Cluster) -> Entry:
    """A member as it was sent, never a stitched text: whole before cut off, then central, then reliable."""
    central = dict(zip(map(id, tally.entries), centrality(tally), strict=True)) if not cluster.exact else {}
    return max(
        cluster.entries,
        key=lambda entry: (
            entry.vote.finish_reason != "length",
            entry.vote.model == tally.rules.model,
            central.get(id(entry), 0.0),
            entry.weight.quality,
            entry.vote.node == tally.rules.local,
            -entry.vote.latency_s,
            entry.vote.node,
            entry.vote.text,
        ),
    )


def most_central(tally: Tally) -> tuple[Entry, Cluster]:
    """The valid vote most like the others (minimum Bayes risk), and the cluster that it is in."""
    ranked = max(
        zip(tally.entries, centrality(tally), strict=True),
        key=lambda pair: (
            pair[0].vote.finish_reason != "length",
            pair[1],
            pair[0].weight.reliability,
            pair[0].vote.model == tally.rules.model,
            pair[0].vote.node == tally.rules.local,
            -pair[0].vote.latency_s,
            pair[0].vote.node,
            pair[0].vote.text,
        ),
    )
    return ranked[0], cluster_of(tally, ranked[0])


def cluster_of(tally: Tally, entry: Entry) -> Cluster:
    return next(cluster for cluster in tally.clusters if any(member is entry for member in cluster.entries))


def anchored(tally: Tally, leader: Cluster) -> Cluster:
    """The leader; under `anchored` trust this node's own answer, unless most of the nodes invited back the leader."""
    rules = tally.rules
    own = next((cluster for cluster in tally.clusters if rules.local in cluster.nodes), None)
    if rules.trust != "anchored" or own is None or is_anchored(leader, tally):
        return leader
    return own


def is_anchored(cluster: Cluster, tally: Tally) -> bool:
    return tally.rules.local in cluster.nodes or 2 * len(cluster.nodes) > len(tally.electorate.reliability)


def centrality(tally: Tally) -> list[float]:
    """Mean likeness of each entry to the other nodes' answers, by their weight: 1 where the answer is the same. A
    node's own other candidates do not speak for it."""
    entries = tally.entries
    alone = len(tally.voters) == 1
    texts = [tally.text_of(entry) for entry in entries]
    likeness: list[list[tuple[float, float]]] = [[] for _ in entries]
    for i, j in combinations(range(len(entries)), 2):
        if alone or entries[i].vote.node != entries[j].vote.node:
            same = entries[i].answer.exact and entries[i].answer == entries[j].answer
            differ = entries[i].answer.exact or entries[j].answer.exact or contradict(texts[i], texts[j])
            alike = 1.0 if same else similarity(texts[i], texts[j]) * (CONTRADICTION if differ else 1.0)
            likeness[i].append((alike, entries[j].weight.high))
            likeness[j].append((alike, entries[i].weight.high))
    trim = len(tally.voters) >= TRIMMED_FROM
    return [_weighted_mean(sorted(pairs)[: -1 if trim else None]) for pairs in likeness]


def _weighted_mean(pairs: Sequence[tuple[float, float]]) -> float:
    total = math.fsum(weight for _, weight in pairs)
    return round(math.fsum(value * weight for value, weight in pairs) / total, 9) if total > 0 else 0.0
