from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.domain.ids import NodeId
from swarm.federation.best_member import MemberRecord, PoolRecord, chance_of_vote, forecast
from swarm.federation.rules import VoteRules


def pool(chances: list[float], *, questions: int = 300, lockstep: float = 0.0, same: float = 0.5) -> PoolRecord:
    """A pool that was asked many questions, each answered right by that chance, together or apart."""
    rng, record = random.Random(1), PoolRecord()
    for _ in range(questions):
        hardness = rng.random() if rng.random() < lockstep else None
        answers = {}
        for index, chance in enumerate(chances):
            right = (rng.random() if hardness is None else hardness) < chance
            answers[NodeId(f"n{index}")] = "right" if right else "trap" if rng.random() < same else f"wrong {index}"
        record = record.with_answers(answers, "right")
    return record


def flat(chances: list[float]) -> PoolRecord:
    """A long record without the noise of decay."""
    return PoolRecord({NodeId(f"n{index}"): MemberRecord(chance * 1e6, 1e6) for index, chance in enumerate(chances)})


@pytest.mark.parametrize("chances", [[0.7] * 3, [0.7] * 5, [0.66] * 7, [0.75, 0.7, 0.66, 0.66, 0.66]])
def test_like_members_that_err_apart_vote(chances) -> None:
    record = pool(chances)
    found = forecast(record, record.members, VoteRules())
    assert found.vote_helps
    assert found.vote > found.best_alone


@pytest.mark.parametrize(
    ("chances", "words"),
    [([0.97, *[0.35] * 6], "n0 answers alone"), ([0.8, 0.6], "too few members"), ([0.7, 0.05, 0.05], "alone")],
)
def test_the_best_member_answers_alone_where_the_others_are_too_weak_or_too_few(chances, words) -> None:
    record = pool(chances)
    found = forecast(record, record.members, VoteRules())
    assert not found.vote_helps
    assert found.best == "n0"
    assert words in found.reason


def test_without_a_record_nobody_is_preferred() -> None:
    nodes = [NodeId("a"), NodeId("b"), NodeId("c")]
    assert forecast(PoolRecord(), nodes, VoteRules()).vote_helps
    short = pool([0.95, 0.4, 0.4], questions=5)
    assert forecast(short, short.members, VoteRules()).vote_helps


def test_a_node_alone_answers_alone() -> None:
    assert not forecast(PoolRecord(), [NodeId("a")], VoteRules(local=NodeId("a"))).vote_helps


def test_what_members_have_in_common_makes_a_vote_worth_less() -> None:
    apart, together = pool([0.7] * 5), pool([0.7] * 5, lockstep=1.0)
    assert together.lockstep > 0.6 > 0.4 > apart.lockstep
    assert pool([0.5] * 5, same=0.9).attraction > pool([0.5] * 5, same=0.1).attraction
    nodes = apart.members
    assert chance_of_vote(flat([0.7] * 5), nodes, VoteRules()) > chance_of_vote(
        PoolRecord(flat([0.7] * 5).members, pairs=1e6, both_wrong=0.3e6, if_apart=0.09e6, if_together=0.3e6),
        nodes,
        VoteRules(),
    )


def test_the_forecast_of_independent_members_is_the_known_one() -> None:
    """Two-way majorities of independent voters: exact binomial values."""
    for chance, voters, known in ((0.7, 3, 0.784), (0.7, 5, 0.837), (0.8, 7, 0.967)):
        members = flat([chance] * voters).members
        record = PoolRecord(members, pairs=1e9, both_wrong=1e9, same_wrong=1e9, if_apart=1e9, if_together=2e9)
        assert chance_of_vote(record, members, VoteRules()) == pytest.approx(known, abs=0.002)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=7), st.floats(0, 1), st.floats(0, 1))
def test_every_forecast_is_a_chance(chances, lockstep, same) -> None:
    record = pool(chances, questions=25, lockstep=lockstep, same=same)
    found = forecast(record, record.members, VoteRules())
    assert 0 <= found.vote <= 1 + 1e-9
    assert 0 <= found.best_alone <= 1


def test_old_answers_fade() -> None:
    record = MemberRecord()
    for right in [False] * 200 + [True] * 100:
        record = record.with_answer(right)
    assert record.chance > 0.85
    assert record.doubt < 0.06
