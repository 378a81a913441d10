"""Which sequences took their last step together, and how long the next one waits for those that are missing. Pure.

A step of eight tokens takes hardly longer than one of a single token, so sequences that ran together are kept together:
the first that is back waits a little for the others. Who does not come in that time is in the next step of others, and
is not waited for again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.001, 0.005
"""For the next of those that are missing: as long as the last step took, but within these."""
MOST_WAITS = 4
"""So many times that is waited in all, however the others trickle in."""


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class _Step:
    members: WeakSet[Any]
    wait_s: float


class Companies:
    """By sequence, for as long as somebody holds it."""

    def __init__(self) -> None:
        self._last: WeakKeyDictionary[Any, _Step] = WeakKeyDictionary()

    def note(self, sequences: Sequence[Any], seconds: float) -> None:
        """These took a step together, in so many seconds."""
        step = _Step(WeakSet(sequences), min(LONGEST_WAIT_S, max(SHORTEST_WAIT_S, seconds)))
        for sequence in sequences:
            self._last[sequence] = step

    def complete_at(self, arrivals: Sequence[tuple[Any, float]]) -> float:
        """When a step is to begin with those that came, in this order, each at its time."""
        here = {id(sequence) for sequence, _ in arrivals}
        steps = {id(step): step for sequence, _ in arrivals if (step := self._last.get(sequence))}.values()
        waits = [step.wait_s for step in steps if _is_missing_any(step.members, here)]
        if not waits:
            return arrivals[-1][1]
        return min(arrivals[-1][1] + max(waits), arrivals[0][1] + MOST_WAITS * max(waits))


def _is_missing_any(members: Iterable[Any], here: set[int]) -> bool:
    return any(id(member) not in here and not getattr(member, "is_closed", False) for member in members)
