"""The votes, sorted into answers: what every strategy looks at before it decides."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from swarm.domain.federation import PeerVote
from swarm.domain.ids import NodeId
from swarm.federation.canonical import CanonicalAnswer, canonical_answer
from swarm.federation.rules import VoteRules
from swarm.federation.similarity import FreeText, clusters_of_texts, free_text
from swarm.federation.validity import why_invalid
from swarm.federation.weights import Electorate, VoteWeight, electorate_of, weigh


@dataclass(frozen=True, slots=True)
class Entry:
    """A valid vote with its answer and its weight."""

    vote: PeerVote
    answer: CanonicalAnswer
    weight: VoteWeight


@dataclass(frozen=True, slots=True)
class Cluster:
    """Valid votes that say the same, and how firmly that answer is backed."""

    entries: tuple[Entry, ...]

    @property
    def score(self) -> float:
        """Rounded, so that the order of the sum cannot make a difference."""
        return round(math.fsum(entry.weight.high for entry in self.entries), 9)

    @property
    def exact(self) -> bool:
        return self.entries[0].answer.exact

    @property
    def nodes(self) -> frozenset[NodeId]:
        return frozenset(entry.vote.node for entry in self.entries)


@dataclass(frozen=True, slots=True)
class Tally:
    rules: VoteRules
    electorate: Electorate
    entries: tuple[Entry, ...]
    clusters: tuple[Cluster, ...]
    """Strongest first."""
    invalid: tuple[tuple[PeerVote, str], ...]
    prepared: Mapping[str, FreeText]
    """The free texts among the answers, made ready to be compared."""

    def text_of(self, entry: Entry) -> FreeText:
        return self.prepared.get(entry.answer.key) or free_text(entry.vote.text)

    @property
    def voters(self) -> frozenset[NodeId]:
        """Nodes with a valid vote."""
        return frozenset(entry.vote.node for entry in self.entries)

    def backing(self, cluster: Cluster) -> int:
        """How many say so independently: nodes; candidates where one node votes with itself."""
        return len(cluster.entries) if len(self.voters) == 1 else len(cluster.nodes)


def tally(votes: Sequence[PeerVote], rules: VoteRules) -> Tally:
    """Does not depend on the order of the votes."""
    ordered = sorted(votes, key=lambda vote: (vote.latency_s, vote.node, vote.text))
    electorate = electorate_of(rules.electorate(ordered) | {vote.node for vote in ordered}, rules)
    entries, invalid = entries_of(ordered, electorate, rules, pending=0)
    prepared = {entry.answer.key: free_text(entry.answer.key) for entry in entries if not entry.answer.exact}
    clusters = sorted(_clusters(entries, prepared), key=lambda cluster: _strength(cluster, rules), reverse=True)
    return Tally(rules, electorate, tuple(entries), tuple(clusters), tuple(invalid), prepared)


def entries_of(
    votes: Sequence[PeerVote], electorate: Electorate, rules: VoteRules, pending: int
) -> tuple[list[Entry], list[tuple[PeerVote, str]]]:
    """The valid votes, weighed, and the others with the reason."""
    reasons = [why_invalid(vote, rules) for vote in votes]
    valid = [vote for vote, reason in zip(votes, reasons, strict=True) if reason is None]
    weights = weigh(valid, electorate, rules, pending)
    entries = [
        Entry(vote, canonical_answer(vote.text, rules.form, vote.tool_calls), weight)
        for vote, weight in zip(valid, weights, strict=True)
    ]
    return entries, [(vote, reason) for vote, reason in zip(votes, reasons, strict=True) if reason is not None]


def exact_clusters(entries: Sequence[Entry]) -> list[Cluster]:
    by_answer: defaultdict[CanonicalAnswer, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.answer.exact:
            by_answer[entry.answer].append(entry)
    return [Cluster(tuple(members)) for members in by_answer.values()]


def _clusters(entries: Sequence[Entry], prepared: Mapping[str, FreeText]) -> list[Cluster]:
    free = [entry for entry in entries if not entry.answer.exact]
    alike = clusters_of_texts([prepared[entry.answer.key] for entry in free])
    return exact_clusters(entries) + [Cluster(tuple(free[index] for index in members)) for members in alike]


def _strength(cluster: Cluster, rules: VoteRules) -> tuple[float | str, ...]:
    """The order of ties: nodes, models, the model asked for, this node, confidence, earliest, and last a fixed one."""
    votes = [entry.vote for entry in cluster.entries]
    return (
        cluster.score,
        len(cluster.nodes),
        len({vote.model_digest for vote in votes}),
        any(vote.model == rules.model for vote in votes),
        rules.local in cluster.nodes,
        max(entry.weight.confidence.high for entry in cluster.entries),
        -min(vote.latency_s for vote in votes),
        min(entry.answer.key for entry in cluster.entries),
    )
