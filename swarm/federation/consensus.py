"""Which text speaks for an answer, and which text is closest to all others where no answer has a majority."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

from swarm.federation.similarity import free_text, similarity
from swarm.federation.tally import Cluster, Entry, Tally


def representative(tally: Tally, cluster: Cluster) -> Entry:
    """A member as it was sent, never a stitched text: whole before cut off, then central, then reliable."""
    central = [0.0] * len(cluster.entries) if cluster.exact else centrality(cluster.entries)
    ranked = sorted(
        zip(cluster.entries, central, strict=True),
        key=lambda pair: (
            pair[0].vote.finish_reason == "stop",
            pair[0].vote.model == tally.rules.model,
            pair[1],
            pair[0].weight.quality,
            pair[0].vote.node == tally.rules.local,
        ),
        reverse=True,
    )
    return ranked[0][0]


def most_central(tally: Tally) -> tuple[Entry, Cluster]:
    """The valid vote most like the others (minimum Bayes risk), and the cluster that it is in."""
    central = centrality(tally.entries)
    ranked = sorted(
        zip(tally.entries, central, strict=True),
        key=lambda pair: (
            pair[0].vote.finish_reason == "stop",
            pair[1],
            pair[0].weight.reliability,
            pair[0].vote.model == tally.rules.model,
            pair[0].vote.node == tally.rules.local,
        ),
        reverse=True,
    )
    winner = ranked[0][0]
    return winner, next(cluster for cluster in tally.clusters if winner in cluster.entries)


def centrality(entries: Sequence[Entry]) -> list[float]:
    """Mean likeness to the other nodes' texts, by their weight; a node's own other candidates do not speak for it."""
    alone = len({entry.vote.node for entry in entries}) == 1
    texts = [free_text(entry.vote.text) for entry in entries]
    likeness: list[list[tuple[float, float]]] = [[] for _ in entries]
    for i, j in combinations(range(len(entries)), 2):
        if alone or entries[i].vote.node != entries[j].vote.node:
            alike = similarity(texts[i], texts[j])
            likeness[i].append((alike, entries[j].weight.high))
            likeness[j].append((alike, entries[i].weight.high))
    return [_weighted_mean(pairs) for pairs in likeness]


def _weighted_mean(pairs: Sequence[tuple[float, float]]) -> float:
    total = math.fsum(weight for _, weight in pairs)
    return round(math.fsum(value * weight for value, weight in pairs) / total, 9) if total > 0 else 0.0
