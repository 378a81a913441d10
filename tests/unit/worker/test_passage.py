"""A step goes from leg to leg without its session's thread, which gets it back when a leg is in trouble."""

import threading

import pytest
import torch

from swarm.domain.nodes import BlockSpan
from swarm.worker.chain import attempts, passage
from swarm.worker.chain.attempts import Leg
from swarm.worker.chain.measures import Measures
from swarm.worker.chain.passage import Passage
from swarm.worker.chain.routing import Hop, Offer
from swarm.worker.compute.step import Step
from swarm.worker.failures import Cancelled


class Manual:
    """A runner whose steps end when the test says so."""

    def __init__(self) -> None:
        self.steps: list[tuple[torch.Tensor, Step]] = []

    def begin(self, hidden: torch.Tensor) -> Step:
        self.steps.append((hidden, Step()))
        return self.steps[-1][1]

    def close(self) -> None: ...

    def answer(self) -> None:
        fed, step = self.steps[-1]
        step.set_result(fed + 1)


class Way:
    """A passage over two legs, at other nodes where they have names."""

    def __init__(self, *servers: str | None) -> None:
        self.runners = [Manual() for _ in servers]
        measures = Measures()
        legs = [
            Leg(Hop(Offer(server, BlockSpan(at, at + 1)), BlockSpan(at, at + 1)), runner, measures)
            for at, (server, runner) in enumerate(zip(servers, self.runners, strict=True))
        ]
        self.entering, self.leaving, self.left = Step(), Step(), list[torch.Tensor]()
        self.passage = Passage(legs, self.leave)
        self.passage.begin(self.entering)

    def leave(self, hidden: torch.Tensor) -> Step:
        self.left.append(hidden)
        return self.leaving


def test_each_leg_begins_when_the_one_before_it_has_answered() -> None:
    way = Way(None, "b")
    way.entering.set_result(torch.zeros(1, 2, 3))
    for runner in way.runners:
        answering = threading.Thread(target=runner.answer)
        answering.start()
        answering.join()
    way.leaving.set_result(torch.ones(4))
    assert way.passage.result(lambda: False) is way.leaving.result()
    assert way.left[0].tolist() == torch.full((1, 2, 3), 2.0).tolist()


def test_a_long_prompt_goes_through_a_leg_in_pieces() -> None:
    way = Way("a")
    way.entering.set_result(torch.zeros(1, attempts.CHUNK_TOKENS + 3, 1))
    way.runners[0].answer()
    way.runners[0].answer()
    assert [fed.shape[1] for fed, _ in way.runners[0].steps] == [attempts.CHUNK_TOKENS, 3]
    assert way.left[0].shape[1] == attempts.CHUNK_TOKENS + 3


def test_a_leg_that_fails_is_handed_over_with_what_it_was_fed() -> None:
    way = Way(None, "b")
    way.entering.set_result(torch.zeros(1, 1, 1))
    way.runners[0].answer()
    way.runners[1].steps[0][1].set_exception(ConnectionError("gone"))
    assert way.passage.result(lambda: False) is None
    assert (way.passage.leg.name, way.passage.hidden.item()) == ("b", 1)
    assert "gone" in str(way.passage.failure)
    assert not way.left


def test_a_leg_that_is_late_is_handed_over_and_its_answer_begins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passage, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(attempts, "SHORTEST_PATIENCE_S", 0.02)
    monkeypatch.setattr(attempts, "ENOUGH_PATIENCE_S", 0.02)
    way = Way("a", "b")
    way.entering.set_result(torch.zeros(1, 1, 1))
    assert way.passage.result(lambda: False) is None
    assert (way.passage.leg.name, way.passage.failure) == ("a", None)
    way.runners[0].answer()
    assert not way.runners[1].steps
    assert way.passage.attempt is not None
    assert way.passage.attempt.pending.done()


@pytest.mark.parametrize("where", ["entering", "own leg", "leaving"])
def test_what_fails_here_is_raised(where: str) -> None:
    way = Way(None)
    if where != "entering":
        way.entering.set_result(torch.zeros(1, 1, 1))
    if where == "leaving":
        way.runners[0].answer()
    failing = {"entering": way.entering, "leaving": way.leaving}.get(where) or way.runners[0].steps[0][1]
    failing.set_exception(ValueError(where))
    with pytest.raises(ValueError, match=where):
        way.passage.result(lambda: False)


def test_a_cancel_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passage, "LOOK_EVERY_S", 0.01)
    way = Way(None)
    way.entering.set_result(torch.zeros(1, 1, 1))
    with pytest.raises(Cancelled):
        way.passage.result(lambda: True)
    way.runners[0].answer()
    assert not way.left
