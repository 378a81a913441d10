"""`best_of_n`: what at least two agree on; else what the others find most likely and is most like the others.

Never an author's claim for itself: a candidate's likelihood is what the other nodes give it by teacher forcing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from swarm.domain.federation import FederationResult, PeerVote
from swarm.federation.ballots import nobody_valid, result
from swarm.federation.consensus import anchored, centrality, cluster_of, representative
from swarm.federation.ranks import unit_ranks, weighted_median
from swarm.federation.rules import VoteRules
from swarm.federation.similarity import refuses
from swarm.federation.tally import Cluster, Entry, Tally, tally

CONSENSUS = 2
"""Independent votes for the same exact answer that come before any comparison of texts."""
LIKELIHOOD_SHARE = 0.6
"""Of a candidate's score; the rest is its likeness to the others."""
REPEATED = 0.18
"""Share of three-word runs in the last words that occurred there before, above which a text goes round in circles."""
_LAST_WORDS = 32


def best_of_n(votes: Sequence[PeerVote], rules: VoteRules) -> FederationResult:
    """Raises `Unavailable` where no vote is valid."""
    counted = tally(votes, rules)
    if not counted.entries:
        raise nobody_valid(counted)
    agreed = next((cluster for cluster in counted.clusters if is_consensus(counted, cluster)), None)
    if agreed is not None:
        return _by_consensus(counted, anchored(counted, agreed))
    leader = counted.clusters[0]
    if len(counted.voters) <= 2 or anchored(counted, leader) is not leader:
        # Two nodes can only score each other: that would be one's word against the other's.
        chosen = anchored(counted, leader)
        reason = "too few answers to compare: the one of the node with the best record"
        return result(counted, "best_of_n", representative(counted, chosen), chosen, reason)
    winner = max(zip(scores(counted), _order(counted), counted.entries, strict=True), key=lambda ranked: ranked[:2])[2]
    judged = "most likely to the others and most like them" if rules.cross_scores else "the text most like the others"
    return result(counted, "best_of_n", winner, cluster_of(counted, winner), f"no two agree: {judged}")


def is_consensus(counted: Tally, cluster: Cluster) -> bool:
    return cluster.exact and counted.backing(cluster) >= CONSENSUS


def wants_cross_scores(votes: Sequence[PeerVote], rules: VoteRules) -> tuple[PeerVote, ...]:
    """The candidates that other nodes should score before `best_of_n` decides; none where two agree or two answered."""
    counted = tally(votes, rules)
    settled = any(is_consensus(counted, cluster) for cluster in counted.clusters)
    return () if settled or len(counted.voters) <= 2 else tuple(entry.vote for entry in counted.entries)


def scores(counted: Tally) -> list[float]:
    """0 to 1 an entry: rank of the median log-probability by others, and rank of the likeness to them; below 0 where
    the text is cut off, goes round in circles, or refuses what others did not refuse."""
    central = unit_ranks(centrality(counted))
    likely = _likelihood_ranks(counted)
    refusals = [refuses(entry.vote.text) for entry in counted.entries]
    share = LIKELIHOOD_SHARE if likely is not None else 0.0
    return [
        round(share * likelihood + (1 - share) * likeness, 9)
        - (entry.vote.finish_reason == "length" or repeats(entry.vote.text) or (refusal and not all(refusals)))
        for entry, likelihood, likeness, refusal in zip(
            counted.entries, likely or central, central, refusals, strict=True
        )
    ]


def _likelihood_ranks(counted: Tally) -> list[float] | None:
    """By the weighted median of what the others give it; in the middle where nobody scored it; None where none was."""
    medians = [_median_by_others(counted, entry) for entry in counted.entries]
    scored = [value for value in medians if value is not None]
    if not scored:
        return None
    ranks = iter(unit_ranks(scored))
    return [0.5 if value is None else next(ranks) for value in medians]


def _median_by_others(counted: Tally, entry: Entry) -> float | None:
    author, worth = entry.vote.node, counted.electorate.reliability
    given = counted.rules.cross_scores.get((author, entry.vote.text), {})
    return weighted_median(
        [(score, worth.get(node, 0.0)) for node, score in given.items() if node != author and -1e6 < score <= 0]
    )


def _by_consensus(counted: Tally, cluster: Cluster) -> FederationResult:
    reason = f"{counted.backing(cluster)} agree on this answer"
    return result(counted, "best_of_n", representative(counted, cluster), cluster, reason)


def _order(counted: Tally) -> list[tuple[float, bool, bool, float, str, str]]:
    """Of candidates with the same score: reliability, the model asked for, this node, the earliest, and a fixed one."""
    return [
        (
            entry.weight.reliability,
            entry.vote.model == counted.rules.model,
            entry.vote.node == counted.rules.local,
            -entry.vote.latency_s,
            entry.vote.node,
            entry.vote.text,
        )
        for entry in counted.entries
    ]


def repeats(text: str) -> bool:
    words = re.findall(r"\w+", text[-_LAST_WORDS * 16 :])[-_LAST_WORDS:]
    runs = list(zip(words, words[1:], words[2:], strict=False))
    return len(words) == _LAST_WORDS and 1 - len(set(runs)) / len(runs) > REPEATED
