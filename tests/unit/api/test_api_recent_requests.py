"""The record of recent requests: bounded, and true about how each ended."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from swarm.api.recent_requests import KEPT, RecentRequests
from swarm.domain.errors import BackendError
from swarm.domain.generation import Provenance, TextDelta
from tests.fakes.api_node import DECISION, NODE


class SteppingClock:
    """Each look at the monotonic time takes a second."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        self.seconds += 1
        return self.seconds

    def wall(self) -> float:
        return 1_000.0

    async def sleep(self, seconds: float) -> None: ...


def test_a_vote_is_recorded_with_its_agreement() -> None:
    recent = RecentRequests(SteppingClock())
    with recent.watch("chat", "id", None, None) as watch:
        watch.saw(TextDelta("a", tokens=2))
        watch.saw(TextDelta(finish_reason="stop", provenance=Provenance("federation", (NODE,), "m", "d", DECISION)))
    (record,) = recent.newest_first()
    assert (record.started, record.seconds, record.tokens) == (1_000.0, 1.0, 2)
    assert (record.route, record.strategy, record.agreement, record.ballots) == ("federation", "weighted_vote", 1.0, 1)
    assert (record.outcome, record.status, record.model, record.nodes) == ("answered", 200, "m", (NODE,))


@pytest.mark.parametrize(
    ("error", "outcome", "status"),
    [(BackendError("x"), "failed", 500), (asyncio.CancelledError(), "abandoned", 499)],
)
def test_an_error_is_recorded_and_goes_on(error: BaseException, outcome: str, status: int) -> None:
    recent = RecentRequests(SteppingClock())
    with pytest.raises(type(error)), recent.watch("chat", "id", "asked", "best_of_n"):
        raise error
    (record,) = recent.newest_first()
    assert (record.outcome, record.status, record.model, record.strategy) == (outcome, status, "asked", "best_of_n")


def test_a_client_that_leaves_after_the_whole_answer_was_answered() -> None:
    recent = RecentRequests(SteppingClock())
    with suppress(asyncio.CancelledError), recent.watch("chat", "id", None, None) as watch:
        watch.is_told = True
        raise asyncio.CancelledError
    (record,) = recent.newest_first()
    assert (record.outcome, record.status) == ("answered", 200)


def test_the_oldest_fall_out() -> None:
    recent = RecentRequests(SteppingClock())
    for number in range(KEPT + 5):
        with recent.watch("vote", str(number), None, None):
            pass
    ids = [record.id for record in recent.newest_first()]
    assert (len(ids), ids[0], ids[-1]) == (KEPT, str(KEPT + 4), "5")
