"""Pieces on their way through hops: what is kept of them, what counts as an answer, and when one is late."""

import math

import pytest
import torch

from swarm.domain.nodes import BlockSpan
from swarm.worker.chain.attempts import (
    CHUNK_TOKENS,
    ENOUGH_PATIENCE_S,
    MOST_LENIENCY,
    PATIENCE,
    SHORTEST_PATIENCE_S,
    SUSPECT_PATIENCE_S,
    Attempt,
    HopFailed,
    Leg,
)
from swarm.worker.chain.measures import Measures
from swarm.worker.chain.routing import Hop, Offer
from swarm.worker.compute.step import Step

SPAN = BlockSpan(0, 4)


class Scripted:
    """Answers when it is told to; adds its number to what it is fed."""

    def __init__(self, number: float = 1.0) -> None:
        self.number, self.closed = number, 0
        self.fed: list[torch.Tensor] = []
        self.futures: list[Step] = []

    def begin(self, hidden: torch.Tensor) -> Step:
        self.fed.append(hidden)
        self.futures.append(Step())
        return self.futures[-1]

    def answer(self) -> None:
        self.futures[-1].set_result(self.fed[-1] + self.number)

    def close(self) -> None:
        self.closed += 1


def leg(runner: Scripted, server: str | None = "a", measures: Measures | None = None, block_s: float = 1e-4) -> Leg:
    return Leg(Hop(Offer(server, SPAN, block_s=block_s), SPAN), runner, measures or Measures())


def through(attempt: Attempt, *runners: Scripted) -> torch.Tensor:
    """The runners answer in turn until all is through."""
    while True:
        next(runner for runner in runners if runner.futures and not runner.futures[-1].done()).answer()
        if (made := attempt.advance()) is not None:
            return made


def test_a_long_piece_goes_in_parts_through_one_leg_after_the_other() -> None:
    first, second = Scripted(1.0), Scripted(10.0)
    hidden = torch.arange(CHUNK_TOKENS + 3, dtype=torch.float32).view(1, -1, 1)
    made = through(Attempt([leg(first), leg(second, "b")], hidden), first, second)
    torch.testing.assert_close(made, hidden + 11.0)
    assert [part.shape[1] for part in first.fed] == [part.shape[1] for part in second.fed] == [CHUNK_TOKENS, 3]


def test_what_another_leg_must_be_fed_is_all_that_was_answered_and_what_is_on_its_way() -> None:
    runner = Scripted()
    kept = leg(runner)
    first, second, third = torch.rand(1, 3, 2), torch.rand(1, 1, 2), torch.rand(1, 1, 2)
    through(Attempt([kept], first), runner)
    through(Attempt([kept], second), runner)
    Attempt([kept], third)  # not answered
    assert kept.history_bytes == 4 * 2 * 4
    torch.testing.assert_close(kept.history(third), torch.cat([first, second, third], dim=1))


def test_own_blocks_keep_nothing_and_are_never_late() -> None:
    runner = Scripted()
    own = leg(runner, None)
    attempt = Attempt([own], torch.rand(1, 3, 2))
    assert attempt.late_at == math.inf
    through(attempt, runner)
    assert own.history_bytes == 0


@pytest.mark.parametrize(
    "answer", [torch.zeros(1, 2, 2), torch.full((1, 1, 2), math.nan), torch.full((1, 1, 2), math.inf)]
)
def test_nonsense_of_another_node_is_a_failure(answer: torch.Tensor) -> None:
    runner = Scripted()
    attempt = Attempt([leg(runner)], torch.zeros(1, 1, 2))
    runner.futures[-1].set_result(answer)
    with pytest.raises(HopFailed):
        attempt.advance()


def test_what_goes_wrong_there_is_a_failure_of_the_hop_and_here_it_is_not() -> None:
    for server, expected in (("a", HopFailed), (None, MemoryError)):
        runner = Scripted()
        attempt = Attempt([leg(runner, server)], torch.zeros(1, 1, 2))
        runner.futures[-1].set_exception(MemoryError("full"))
        with pytest.raises(expected):
            attempt.advance()


def test_patience_grows_with_what_a_step_should_take() -> None:
    quick, slow = leg(Scripted(), block_s=1e-4), leg(Scripted(), block_s=0.1)
    assert quick.patience_s(1) == SHORTEST_PATIENCE_S
    assert slow.patience_s(1) == pytest.approx(min(PATIENCE * 0.404, max(ENOUGH_PATIENCE_S, 2 * 0.404)))
    assert slow.patience_s(100) == pytest.approx(2 * 40.004)


def test_a_suspect_gets_no_more_than_it_needs() -> None:
    measures = Measures()
    suspect = leg(Scripted(), measures=measures)
    suspect.was_only_busy()
    measures.suspect("a", is_suspect=True)
    assert suspect.patience_s(1) == SUSPECT_PATIENCE_S


def test_who_was_only_busy_gets_more_but_never_so_much_that_a_hang_goes_unnoticed() -> None:
    busy = leg(Scripted())
    busy.was_only_busy()
    assert busy.patience_s(1) > SHORTEST_PATIENCE_S
    for _ in range(20):
        busy.was_only_busy()
    assert busy.patience_s(1) == MOST_LENIENCY * SHORTEST_PATIENCE_S


def test_an_attempt_that_is_closed_leaves_no_sequence_open() -> None:
    measures, runners = Measures(), [Scripted(), Scripted()]
    legs = [leg(runner, server, measures) for runner, server in zip(runners, "ab", strict=True)]
    attempt = Attempt(legs, torch.zeros(1, 1, 2))
    assert attempt.servers == {"a", "b"}
    assert measures.priced(Offer("b", SPAN)).load == 1
    attempt.close()
    assert attempt.pending.cancelled()
    assert [runner.closed for runner in runners] == [1, 1]
    assert measures.priced(Offer("b", SPAN)).load == 0
