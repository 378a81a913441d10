"""Who is checked with whom, what is still noise, and who is wrong."""

import random
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from swarm.domain.nodes import BlockSpan
from swarm.worker.chain import checking
from swarm.worker.chain.checking import Finding, PeerChecker, Surroundings, choose_check, difference_of, find_wrong
from swarm.worker.chain.routing import Hop, Offer
from swarm.worker.compute.step import Step

HIDDEN = 16
spans = st.tuples(st.integers(0, 19), st.integers(1, 20)).filter(lambda pair: pair[0] < pair[1])


def offer(server: str | None, start: int, end: int, number_format: str = "float32") -> Offer:
    return Offer(server, BlockSpan(start, end), number_format=number_format)


@given(st.lists(spans, max_size=5), st.booleans(), st.integers(0, 2**32))
def test_a_check_is_within_what_both_serve(taken: list[tuple[int, int]], holds_own: bool, seed: int) -> None:
    offers = [offer(None if holds_own and not at else f"s{at}", *span) for at, span in enumerate(taken)]
    plan = choose_check(offers, (), random.Random(seed))
    served_twice = any(
        one.span.start < other.span.end and other.span.start < one.span.end
        for at, one in enumerate(offers)
        for other in offers[at + 1 :]
    )
    assert (plan is not None) == served_twice
    if plan:
        assert plan.subject.server is not None
        assert 1 <= len(plan.span) <= checking.MOST_BLOCKS
        assert len({part.server for part in (plan.subject, plan.reference, *plan.witnesses)}) == 2 + len(plan.witnesses)
        for part in (plan.subject, plan.reference, *plan.witnesses):
            assert part.span.start <= plan.span.start < plan.span.end <= part.span.end


def test_own_blocks_are_the_reference_and_the_suspect_is_first() -> None:
    offers = [offer(None, 0, 6), offer("a", 0, 6), offer("b", 0, 6), offer("c", 0, 6)]
    for seed in range(20):
        plan = choose_check(offers, ("b",), random.Random(seed))
        assert plan is not None
        assert (plan.subject.server, plan.reference.server) == ("b", None)
        assert {witness.server for witness in plan.witnesses} == {"a", "c"}


def test_rounding_is_noise_and_another_function_is_not() -> None:
    right = torch.randn(1, 12, 64, generator=torch.Generator().manual_seed(1))
    assert difference_of(right.bfloat16(), right) < checking.limit_for({"bfloat16"}) / 10
    assert difference_of(right + 1e-5 * right.roll(1), right) < checking.limit_for({"float32"})
    assert difference_of(right * 1.2, right) > checking.limit_for({"bfloat16"})
    one_token_off = right.clone()
    one_token_off[0, 3] *= -1
    assert difference_of(one_token_off, right) == 0
    assert difference_of(right * float("nan"), right) == difference_of(right[:, :3], right) == checking.WORST
    assert checking.limit_for({"float32", "something new"}) == checking.limit_for({"bfloat16"})


def test_two_against_one() -> None:
    right, wrong = torch.ones(1, 2, 4), torch.zeros(1, 2, 4) + 3
    assert find_wrong("a", None, {"a": wrong, None: right}, 0.1) == ("a",)
    assert find_wrong("a", "b", {"a": wrong, "b": right}, 0.1) == ()
    assert find_wrong("a", "b", {"a": wrong, "b": right, "c": right}, 0.1) == ("a",)
    assert find_wrong("a", "b", {"a": right, "b": wrong, "c": right}, 0.1) == ("b",)
    assert find_wrong("a", None, {"a": right, None: wrong, "c": right}, 0.1) == (None,)


class World:
    """Servers that add one per block, some of them wrongly; `down` do not answer."""

    def __init__(self, *offers: Offer, wrong: Sequence[str | None] = (), down: Sequence[str] = ()) -> None:
        self.offered, self.wrong, self.down = offers, wrong, down
        self.idle, self.steps = True, 0

    def candidates(self) -> list[Offer]:
        return list(self.offered)

    def check(self, seed: int = 0) -> Finding | None:
        around = Surroundings(self, lambda hop, _: Runner(self, hop), self.embed, 100, lambda: self.idle)
        return PeerChecker(around, random.Random(seed)).check()

    def embed(self, ids: Sequence[int]) -> torch.Tensor:
        return torch.tensor(ids, dtype=torch.float32).reshape(1, -1, 1).expand(1, len(ids), HIDDEN) / 100


class Runner:
    def __init__(self, world: World, hop: Hop) -> None:
        self.world, self.hop = world, hop

    def begin(self, hidden: torch.Tensor) -> Step:
        done = Step()
        self.world.steps += 1
        if self.hop.server in self.world.down:
            done.set_exception(ConnectionError("down"))
        else:
            done.set_result(hidden + len(self.hop.span) * (2 if self.hop.server in self.world.wrong else 1))
        return done

    def close(self) -> None:
        pass


OWN, A, B, C = offer(None, 0, 6), offer("a", 2, 6), offer("b", 2, 6), offer("c", 0, 6)


@pytest.mark.parametrize("seed", range(5))
def test_who_is_right_agrees_and_who_is_wrong_is_named(seed: int) -> None:
    found = World(OWN, A).check(seed)
    assert found is not None
    assert (found.server, found.agrees) == ("a", True)
    found = World(OWN, A, wrong=["a"]).check(seed)
    assert found is not None
    assert (found.server, found.agrees) == ("a", False)
    found = World(A, B, C, wrong=["b"]).check(seed)
    assert found is None or found.agrees == (found.server != "b")


def test_nobody_is_blamed_without_proof(caplog: pytest.LogCaptureFixture) -> None:
    assert World(A, B, wrong=["a"]).check() is None
    assert "no third one" in caplog.text
    assert World(OWN, A, down=["a"]).check() is None
    assert World(OWN).check() is None


def test_a_node_that_two_others_contradict_blames_itself(caplog: pytest.LogCaptureFixture) -> None:
    assert World(OWN, C, A, wrong=[None]).check() is None
    assert "this node computes its blocks wrongly" in caplog.text


def test_a_witness_that_does_not_answer_changes_nothing() -> None:
    for seed in range(8):
        found = World(OWN, A, B, wrong=["a"], down=["b"]).check(seed)
        assert found is None or (found.server, found.agrees) == ("a", False)


def test_work_comes_first() -> None:
    world = World(OWN, A)
    world.idle = False
    assert world.check() is None
    assert world.steps == 0
