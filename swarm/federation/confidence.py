"""How sure a node says it is, compared with what it said before, and whether that ever told right from wrong.

A log-probability is a claim: models are sure in different ways, and a liar is always sure. So only its rank among the
node's own earlier claims counts, only as far as such ranks told right answers from wrong ones, and within bounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from swarm.federation.ranks import midranks

KEPT = 256
"""Claims remembered of each kind; the oldest go first."""
LEAST_CLAIMS = 32
"""Before a rank among them means anything."""
LEAST_OF_EACH = 5
"""Right and wrong answers that were checked, before a claim's use is believed."""
LEAST_AGREED = 10
"""Answers with and against a clear majority, before those stand in for checked ones."""
RECKONED_EVERY = 4
"""Votes; what they say changes slowly."""
LARGEST_SPREAD = 0.5
"""Confidence moves a weight within 1 ± this."""
FULL_USE = 0.2
"""Area under the curve beyond one half from which claims count in full."""
_Z = 1.96
"""Standard errors of a two-sided 95 % interval."""


@dataclass(frozen=True, slots=True)
class ConfidenceRecord:
    """Of one node with one model. Grows by `with_claim` and `with_graded`; every record is a new one."""

    claims: tuple[float, ...] = ()
    """Mean log-probabilities of its answers, oldest first."""
    graded: tuple[tuple[float, bool], ...] = ()
    """Claims whose answers were checked, and whether those were right, oldest first."""
    agreed: tuple[tuple[float, bool], ...] = ()
    """Claims of answers with or against a majority that was clear without them, oldest first."""
    votes: int = 0
    """With or against such a majority, those that are forgotten, too."""
    spread: float = 0.0
    """How far its confidence moves its weight, 0 to `LARGEST_SPREAD`: follows from `graded`, or from `agreed` while few
    answers were checked."""

    def with_claim(self, claim: float) -> ConfidenceRecord:
        return replace(self, claims=(*self.claims, claim)[-KEPT:])

    def with_graded(self, claim: float, right: bool) -> ConfidenceRecord:
        graded = (*self.graded, (claim, right))[-KEPT:]
        return replace(self, graded=graded, spread=_spread(graded, self.agreed))

    def with_agreed(self, claim: float, agrees: bool) -> ConfidenceRecord:
        agreed = (*self.agreed, (claim, agrees))[-KEPT:]
        if self.votes % RECKONED_EVERY:
            return replace(self, agreed=agreed, votes=self.votes + 1)
        return replace(self, agreed=agreed, votes=self.votes + 1, spread=_spread(self.graded, agreed))

    def factor(self, claim: float | None) -> float:
        """What this claim multiplies a weight by; 1 while the record is too short to tell."""
        if claim is None or self.spread == 0 or len(self.claims) < LEAST_CLAIMS:
            return 1.0
        below = sum(1.0 if earlier < claim else 0.5 if earlier == claim else 0.0 for earlier in self.claims)
        return 1 + self.spread * (2 * below / len(self.claims) - 1)

    @property
    def largest_factor(self) -> float:
        return 1 + self.spread if len(self.claims) >= LEAST_CLAIMS else 1.0


NO_RECORD = ConfidenceRecord()


def _spread(graded: Sequence[tuple[float, bool]], agreed: Sequence[tuple[float, bool]]) -> float:
    """A majority is mostly right, and where it is not, it misleads about no more than how sure this node is."""
    if _fewer(graded) >= LEAST_OF_EACH:
        return spread_of(graded)
    return spread_of(agreed) if _fewer(agreed) >= LEAST_AGREED else 0.0


def _fewer(graded: Sequence[tuple[float, bool]]) -> int:
    right = sum(was_right for _, was_right in graded)
    return min(right, len(graded) - right)


def spread_of(graded: Sequence[tuple[float, bool]]) -> float:
    """`LARGEST_SPREAD` × clip((AUC − ½) / `FULL_USE`, 0, 1); 0 while the interval of the AUC includes one half."""
    right = sum(was_right for _, was_right in graded)
    wrong = len(graded) - right
    if _fewer(graded) < LEAST_OF_EACH:
        return 0.0
    area = area_under_curve(graded)
    if area - _Z * _standard_error(area, right, wrong) <= 0.5:
        return 0.0
    return LARGEST_SPREAD * min((area - 0.5) / FULL_USE, 1.0)


def area_under_curve(graded: Sequence[tuple[float, bool]]) -> float:
    """The chance that a right answer's claim is higher than a wrong one's (Mann-Whitney); both must occur."""
    ranks = midranks([claim for claim, _ in graded])
    right = [rank for rank, (_, was_right) in zip(ranks, graded, strict=True) if was_right]
    above = math.fsum(right) - len(right) * (len(right) + 1) / 2
    return above / (len(right) * (len(graded) - len(right)))


def _standard_error(area: float, right: int, wrong: int) -> float:
    """Hanley and McNeil (1982), equation 1."""
    both_right = area / (2 - area)
    both_wrong = 2 * area**2 / (1 + area)
    spread = (right - 1) * (both_right - area**2) + (wrong - 1) * (both_wrong - area**2)
    return math.sqrt(max(area * (1 - area) + spread, 0.0) / (right * wrong))
