"""What is known of one node: counts that fade, so that who changes is judged by what it does now."""

from __future__ import annotations

from dataclasses import dataclass, replace

HALF_LIFE = 35
"""Observations of a kind after which an older one counts half: a decay of 0.98 each, which voting simulations used."""
HALF_LIFE_S = 7 * 24 * 3600.0
"""A node that was not heard of for this long is half forgotten, for better and for worse."""
FADING = 0.5 ** (1 / HALF_LIFE)


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """Faded counts. A node that nobody has observed has zeros."""

    right: float = 0.0
    """Answers to examination questions."""
    wrong: float = 0.0
    agreed: float = 0.0
    """Votes for an answer that would have won clearly without this node's own."""
    disagreed: float = 0.0
    valid: float = 0.0
    """Votes that counted."""
    invalid: float = 0.0
    """Votes that were none: malformed, empty, impossible numbers. Silence is no vote, and not counted."""
    caught: float = 0.0
    """Computations of its blocks that a check proved wrong."""
    seen_at: float = 0.0
    """Unix time in s of the last observation."""

    @property
    def examined(self) -> float:
        return self.right + self.wrong

    def at(self, wall: float) -> TrackRecord:
        """As it counts at that time. A clock that was set back fades nothing."""
        share = 0.5 ** (max(0.0, wall - self.seen_at) / HALF_LIFE_S)
        return TrackRecord(**{name: share * getattr(self, name) for name in COUNTS}, seen_at=self.seen_at)

    def after_examination(self, is_right: bool, wall: float) -> TrackRecord:
        now = self.at(wall)
        right, wrong = _observed(now.right, now.wrong, is_right)
        return replace(now, right=right, wrong=wrong, seen_at=wall)

    def after_agreement(self, agrees: bool, wall: float) -> TrackRecord:
        now = self.at(wall)
        agreed, disagreed = _observed(now.agreed, now.disagreed, agrees)
        return replace(now, agreed=agreed, disagreed=disagreed, seen_at=wall)

    def after_vote(self, is_valid: bool, wall: float) -> TrackRecord:
        now = self.at(wall)
        valid, invalid = _observed(now.valid, now.invalid, is_valid)
        return replace(now, valid=valid, invalid=invalid, seen_at=wall)

    def after_check(self, is_sound: bool, wall: float) -> TrackRecord:
        now = self.at(wall)
        return replace(now, caught=now.caught / 2 if is_sound else now.caught + 1, seen_at=wall)


COUNTS = tuple(name for name in TrackRecord.__dataclass_fields__ if name != "seen_at")


def _observed(good: float, bad: float, is_good: bool) -> tuple[float, float]:
    return FADING * good + is_good, FADING * bad + (not is_good)
