"""All records, by node: what was observed goes in, weights of votes come out; kept as a plain document."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, replace
from typing import Any

from swarm.domain.federation import FederationResult
from swarm.domain.ids import NodeId
from swarm.federation.trust.agreement import agreements
from swarm.federation.trust.record import TrackRecord
from swarm.federation.trust.reliability import Anchors, reliabilities

KEPT_S = 60 * 24 * 3600.0
MOST_KEPT = 256
"""Nodes; the longest unseen are forgotten first, so that made-up names cannot fill the memory."""
LARGEST_COUNT = 1000.0
"""Far above what fading counts can reach; a file that says more is damaged."""
COUNTS = tuple(name for name in TrackRecord.__dataclass_fields__ if name != "seen_at")


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

    def record(self, node: NodeId) -> TrackRecord:
        return self._records.get(node, TrackRecord()).at(self._wall())

    def records(self) -> dict[NodeId, TrackRecord]:
        wall = self._wall()
        return {node: record.at(wall) for node, record in self._records.items()}

    def reliability(self, nodes: Collection[NodeId]) -> dict[NodeId, float]:
        """The weights of these nodes' votes, relative to each other."""
        return reliabilities(nodes, {node: self.record(node) for node in nodes}, self._anchors())

    # -- observations -------------------------------------------------------------------------------------------------

    def examined(self, results: Mapping[NodeId, bool]) -> None:
        """The same question put to all of them. Where nobody knew the answer, nobody is the wiser."""
        if any(results.values()):
            wall = self._wall()
            records = {node: self.record(node).after_examination(right, wall) for node, right in results.items()}
            self._observe(records)

    def voted(self, result: FederationResult) -> None:
        """Who gave a vote that counted, and who was with a majority that did not need it."""
        wall = self._wall()
        told = {ballot.node: ballot.valid for ballot in result.ballots if ballot.answered}
        records = {node: self.record(node).after_vote(valid, wall) for node, valid in told.items()}
        for node, agrees in agreements(result, self._anchors()).items():
            records[node] = records.get(node, self.record(node)).after_agreement(agrees, wall)
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
        self._changed()

    def document(self) -> dict[str, Any]:
        return to_document(self._records)


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
