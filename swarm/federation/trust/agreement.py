"""Who was with the majority, as evidence: only where the majority would have stood without the vote in question."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from swarm.domain.federation import Ballot, FederationResult
from swarm.domain.ids import NodeId
from swarm.federation.trust.reliability import Anchors

CLEAR_MARGIN = 0.2
"""Share of the other nodes' weight by which an answer must lead before it says anything about one more node."""


def agreements(result: FederationResult, anchors: Anchors) -> dict[NodeId, bool]:
    """By node. In `anchored` the others are the anchors alone: no stranger's word builds another one's trust."""
    votes: defaultdict[NodeId, list[Ballot]] = defaultdict(list)
    for ballot in result.ballots:
        if ballot.valid:
            votes[ballot.node].append(ballot)
    judged = {}
    for node, own in votes.items():
        others = [ballot for other, ballots in votes.items() if other != node for ballot in ballots]
        if anchors.mode == "anchored":
            others = [ballot for ballot in others if anchors.holds(ballot.node)]
        answer = _clear_answer(others, alone_is_enough=anchors.mode == "anchored")
        if answer is not None:
            judged[node] = answer in {ballot.key for ballot in own}
    return judged


def _clear_answer(ballots: Sequence[Ballot], alone_is_enough: bool) -> str | None:
    """What these say with a clear lead, and more than one node of them, unless each is trusted by itself."""
    weights: defaultdict[str, float] = defaultdict(float)
    nodes: defaultdict[str, set[NodeId]] = defaultdict(set)
    for ballot in ballots:
        weights[ballot.key] += ballot.weight
        nodes[ballot.key].add(ballot.node)
    total = math.fsum(weights.values())
    if total <= 0:
        return None
    first, *rest = sorted(weights, key=lambda key: (weights[key], key), reverse=True)
    lead = (weights[first] - (weights[rest[0]] if rest else 0.0)) / total
    return first if lead >= CLEAR_MARGIN and (alone_is_enough or len(nodes[first]) > 1) else None
