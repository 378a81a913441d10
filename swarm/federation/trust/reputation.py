"""All records, by node: what was observed goes in, weights of votes come out; kept as a plain document."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from swarm.domain.federation import FederationResult, PeerVote
from swarm.domain.ids import NodeId
from swarm.federation.best_member import Forecast, PoolRecord, forecast
from swarm.federation.confidence import NO_RECORD, ConfidenceRecord
from swarm.federation.rules import VoteRules
from swarm.federation.trust.agreement import agreements
from swarm.federation.trust.record import TrackRecord
from swarm.federation.trust.reliability import Anchors, reliabilities
from swarm.wire.codec import MalformedMessage, from_plain

RIGHT = "right"
KEPT_S = 60 * 24 * 3600.0
MOST_KEPT = 256
"""Nodes; the longest unseen are forgotten first, so that made-up names cannot fill the memory."""
LARGEST_COUNT = 1000.0
"""Far above what fading counts can reach; a file that says more is damaged."""
COUNTS = tuple(name for name in TrackRecord.__dataclass_fields__ if name != "seen_at")


@dataclass(frozen=True, slots=True)
class Examined:
    """An answer to a question whose answer is known."""

    right: bool
    answer: str
    """In canonical form: wrong answers that are the same say that nodes err alike."""
    claim: float | None = None
    """Mean log-probability, by the node's own word."""

    @property
    def key(self) -> str:
        return RIGHT if self.right else f"wrong: {self.answer}"


class Reputation:
    """Wall time is asked for by `wall`, as records outlive this run. `changed` is told after each observation."""

    def __init__(
        self,
        anchors: Callable[[], Anchors],
        wall: Callable[[], float],
        document: Mapping[str, Any] | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._anchors, self._wall, self._changed = anchors, wall, changed
        self._records = from_document(document, wall())
        self._confidence: dict[NodeId, ConfidenceRecord] = {}
        self._pool = pool_from(document, frozenset(self._records))
        self._forecasts: dict[tuple[NodeId, ...], Forecast] = {}

    def record(self, node: NodeId) -> TrackRecord:
        return self._records.get(node, TrackRecord()).at(self._wall())

    def records(self) -> dict[NodeId, TrackRecord]:
        wall = self._wall()
        return {node: record.at(wall) for node, record in self._records.items()}

    def reliability(self, nodes: Collection[NodeId]) -> dict[NodeId, float]:
        """The weights of these nodes' votes, relative to each other."""
        return reliabilities(nodes, {node: self.record(node) for node in nodes}, self._anchors())

    def confidence(self, node: NodeId) -> ConfidenceRecord:
        """How sure it was before; for this run only, as it is soon learned again."""
        return self._confidence.get(node, NO_RECORD)

    def forecast(self, nodes: tuple[NodeId, ...], rules: VoteRules) -> Forecast:
        """Whether a vote of these is worth its cost."""
        if nodes not in self._forecasts:
            self._forecasts[nodes] = forecast(self._pool, nodes, rules)
        return self._forecasts[nodes]

    # -- observations -------------------------------------------------------------------------------------------------

    def examined(self, answers: Mapping[NodeId, Examined]) -> None:
        """The same question put to all of them. Where nobody knew the answer, nobody is the wiser."""
        if not any(answer.right for answer in answers.values()):
            return
        wall = self._wall()
        self._pool = self._pool.with_answers({node: answer.key for node, answer in answers.items()}, RIGHT)
        self._forecasts.clear()
        for node, answer in answers.items():
            if answer.claim is not None:
                self._confidence[node] = self.confidence(node).with_graded(answer.claim, answer.right)
        self._observe(
            {node: self.record(node).after_examination(answer.right, wall) for node, answer in answers.items()}
        )

    def voted(self, votes: Sequence[PeerVote], result: FederationResult) -> None:
        """Who gave a vote that counted, how sure it was, and who was with a majority that did not need it."""
        wall = self._wall()
        claims = _claims(votes, result)
        for node, claim in claims:
            self._confidence[node] = self.confidence(node).with_claim(claim)
        said = Counter(node for node, _ in claims)
        told = {ballot.node: ballot.valid for ballot in result.ballots if ballot.answered}
        records = {node: self.record(node).after_vote(valid, wall) for node, valid in told.items()}
        agreed = agreements(result, self._anchors())
        for node, agrees in agreed.items():
            records[node] = records.get(node, self.record(node)).after_agreement(agrees, wall)
        for node, claim in claims:
            if node in agreed and said[node] == 1:
                self._confidence[node] = self.confidence(node).with_agreed(claim, agreed[node])
        self._observe(records)

    def checked(self, node: NodeId, is_sound: bool) -> None:
        """A computation of its blocks was repeated elsewhere."""
        known = self.record(node)
        if not is_sound or known.caught:
            self._observe({node: known.after_check(is_sound, self._wall())})

    def _observe(self, records: Mapping[NodeId, TrackRecord]) -> None:
        if not records:
            return
        self._records.update(records)
        if len(self._records) > MOST_KEPT:
            latest = sorted(self._records.items(), key=lambda item: item[1].seen_at, reverse=True)
            self._records = dict(latest[:MOST_KEPT])
            self._confidence = {node: kept for node, kept in self._confidence.items() if node in self._records}
            self._pool = replace(
                self._pool, members={node: kept for node, kept in self._pool.members.items() if node in self._records}
            )
        self._changed()

    def document(self) -> dict[str, Any]:
        return {**to_document(self._records), "pool": asdict(self._pool)}


def _claims(votes: Sequence[PeerVote], result: FederationResult) -> list[tuple[NodeId, float]]:
    """How sure the nodes say they are of votes that counted."""
    valid = {ballot.node for ballot in result.ballots if ballot.valid}
    return [
        (vote.node, vote.mean_logprob)
        for vote in votes
        if vote.node in valid and vote.mean_logprob is not None and math.isfinite(vote.mean_logprob)
    ]


def pool_from(document: Mapping[str, Any] | None, known: Collection[NodeId]) -> PoolRecord:
    """Of the nodes known; a new one where it cannot be understood."""
    try:
        read = from_plain(PoolRecord, (document or {}).get("pool"))
    except MalformedMessage:
        return PoolRecord()
    counts = (read.pairs, read.both_wrong, read.same_wrong, read.if_apart, read.if_together)
    members = {node: member for node, member in read.members.items() if node in known}
    sound = all(0 <= member.right <= member.asked <= LARGEST_COUNT for member in members.values())
    return replace(read, members=members) if sound and min(counts) >= 0 else PoolRecord()


def to_document(records: Mapping[NodeId, TrackRecord]) -> dict[str, Any]:
    return {"nodes": {node: _rounded(record) for node, record in sorted(records.items())}}


def _rounded(record: TrackRecord) -> dict[str, float]:
    return {name: round(value, 4) for name, value in asdict(record).items() if value}


def from_document(document: Mapping[str, Any] | None, wall: float) -> dict[NodeId, TrackRecord]:
    """What of it can be understood and is not too old; never raises."""
    rows = (document or {}).get("nodes")
    if not isinstance(rows, dict):
        return {}
    read = {NodeId(node): _read(row, wall) for node, row in list(rows.items())[:MOST_KEPT]}
    return {node: record for node, record in read.items() if record is not None}


def _read(row: object, wall: float) -> TrackRecord | None:
    if not isinstance(row, dict):
        return None
    known = {name: row.get(name, 0.0) for name in (*COUNTS, "seen_at")}
    if not all(_is_number(value) for value in known.values()):
        return None
    if any(known[name] > LARGEST_COUNT for name in COUNTS) or wall - known["seen_at"] > KEPT_S:
        return None
    # What a board with a wrong clock wrote in the future must not stay for ever.
    return replace(TrackRecord(**known), seen_at=min(known["seen_at"], wall))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
