"""How soon nodes begin to answer: whom to ask first, and after which silence asking a second one is worth it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from swarm.domain.ids import NodeId
from swarm.federation.voters import Voter

KEPT = 64
"""First words remembered of each node."""
ENOUGH = 8
"""Before a percentile of them means anything."""
PERCENTILE = 0.9
"""p90 hedges one request in ten and cuts the tail; p95, the classic value, leaves p95 itself as it was."""
SHORTEST_S, LONGEST_S = 0.05, 5.0
FIRST_GUESS_S = 1.0
LATEST_SHARE = 0.2
"""Weight of the newest call in the moving averages."""
EXTRA_SHARE = 0.15
"""Extra calls for each request, at most, over many requests."""
MOST_SAVED = 10.0
"""Extra calls that quiet times may save up."""
LOCAL_BONUS = 0.8
"""This node goes first where it is at most a fifth slower: its answers cross no network."""


@dataclass(slots=True)
class _Node:
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    mean_s: float = 0.0
    success: float = 1.0


class FirstWords:
    """What was measured, for as long as the daemon runs."""

    def __init__(self) -> None:
        self._nodes: dict[NodeId, _Node] = {}
        self._allowance = 2.0

    def began(self, node: NodeId, seconds: float) -> None:
        known = self._nodes.setdefault(node, _Node())
        known.mean_s = seconds if not known.seconds else known.mean_s + LATEST_SHARE * (seconds - known.mean_s)
        known.seconds.append(seconds)
        known.success += LATEST_SHARE * (1 - known.success)

    def was_silent(self, node: NodeId, seconds: float) -> None:
        """It was stopped without a word, because another one began. Where that was late for it, it counts as its time:
        else only its quick answers were known, and each hedge would come sooner than the one before."""
        if seconds >= self.hedge_after_s(node):
            self.began(node, seconds)

    def failed(self, node: NodeId) -> None:
        known = self._nodes.setdefault(node, _Node())
        known.success -= LATEST_SHARE * known.success

    def hedge_after_s(self, node: NodeId) -> float:
        """Silence of that node after which another one is asked as well."""
        known = self._nodes.get(node)
        if known is None or len(known.seconds) < ENOUGH:
            return FIRST_GUESS_S
        ordered = sorted(known.seconds)
        return min(max(ordered[math.ceil(PERCENTILE * len(ordered)) - 1], SHORTEST_S), LONGEST_S)

    def ordered(self, voters: Sequence[Voter]) -> tuple[Voter, ...]:
        """By the time to a valid first word that is to be expected; those without a record stay where they are."""
        usual = self._usual_s()
        return tuple(sorted(voters, key=lambda voter: self._expected_s(voter, usual)))

    def _usual_s(self) -> float:
        means = [known.mean_s for known in self._nodes.values() if known.seconds]
        return sum(means) / len(means) if means else FIRST_GUESS_S

    def _expected_s(self, voter: Voter, usual_s: float) -> float:
        known = self._nodes.get(voter.node, _Node())
        expected = (known.mean_s if known.seconds else usual_s) / max(known.success, 0.01)
        return expected * (LOCAL_BONUS if voter.peer is None else 1.0)

    # -- what extra calls may cost ------------------------------------------------------------------------------------

    def count_request(self) -> None:
        self._allowance = min(self._allowance + EXTRA_SHARE, MOST_SAVED)

    def count_extra_call(self) -> None:
        """Also one that a failure made necessary, which is never refused."""
        self._allowance -= 1

    @property
    def may_hedge(self) -> bool:
        return self._allowance >= 1
