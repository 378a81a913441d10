"""Reputations: what raises and lowers them, what keeps liars from gaining any, and the questions they are made from."""

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.domain.federation import Ballot, FederationResult, PeerVote
from swarm.domain.generation import ChatMessage, GenerationRequest, Sampling
from swarm.domain.ids import NodeId, RequestId
from swarm.federation.trust.agreement import agreements
from swarm.federation.trust.questions import is_right, question
from swarm.federation.trust.record import HALF_LIFE, HALF_LIFE_S, TrackRecord
from swarm.federation.trust.reliability import NEWCOMER, Anchors, posterior_mean, reliabilities
from swarm.federation.trust.reputation import Examined, Reputation, from_document, to_document
from swarm.federation.trust.shapes import RecentShapes, examination, is_usable, shape_of
from tests.unit.federation.nodes import ask

HERE, A, B, C = (NodeId(name) for name in ("here", "a", "b", "c"))
OPEN = Anchors("open", HERE)
WALL = 1_700_000_000.0


def examined(right: int, wrong: int) -> TrackRecord:
    return TrackRecord(right=right, wrong=wrong, seen_at=WALL)


def graded(results: dict[NodeId, bool]) -> dict[NodeId, Examined]:
    return {node: Examined(right, f"as {node} says", -0.5) for node, right in results.items()}


def reputation(anchors: Anchors = OPEN) -> Reputation:
    return Reputation(lambda: anchors, lambda: WALL)


def result(**answers: str) -> FederationResult:
    ballots = tuple(
        Ballot(NodeId(node), node, key, 1.0, True, False, "", 0.1, "demo", key=key) for node, key in answers.items()
    )
    winner = PeerVote(NodeId(next(iter(answers))), "x", "stop", 1, None, "demo", "digest", 0.1)
    return FederationResult(winner, "weighted_vote", 1.0, 1.0, True, "", ballots)


def test_nobody_known_is_worth_the_same_as_anybody_else() -> None:
    assert len(set(reliabilities([HERE, A, B], {}, OPEN).values())) == 1


def test_who_answers_wrong_loses_and_who_answers_right_gains() -> None:
    made = reputation()
    for _ in range(20):
        made.examined(graded({HERE: True, A: True, B: False}))
    weights = made.reliability([HERE, A, B])
    assert weights[B] < 0.2 < 0.8 < weights[A] == weights[HERE]


def test_luck_in_the_last_examinations_moves_no_weight_and_lies_do() -> None:
    records = {HERE: examined(35, 15), A: examined(37, 13), B: examined(33, 17), C: examined(0, 10)}
    weights = reliabilities([HERE, A, B, C], records, OPEN)
    assert max(weights[HERE], weights[A], weights[B]) - min(weights[HERE], weights[A], weights[B]) < 0.01
    assert weights[C] < 0.25


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=7))
def test_a_chance_is_drawn_towards_the_pools_and_never_beyond(counts: list[tuple[int, int]]) -> None:
    records = {NodeId(f"n{at}"): examined(*count) for at, count in enumerate(counts)}
    means = sorted(posterior_mean(record) for record in records.values())
    for node, chance in reliabilities(list(records), records, Anchors("open", None, frozenset(records))).items():
        assert means[0] - 1e-9 <= chance <= means[-1] + 1e-9
        own = posterior_mean(records[node])
        assert abs(chance - own) <= means[-1] - means[0] + 1e-9


def test_a_question_that_nobody_can_answer_says_nothing() -> None:
    made = reputation()
    for _ in range(20):
        made.examined(graded({HERE: False, A: False, B: False}))
    assert made.records() == {}


def test_an_old_observation_counts_half_after_half_a_life() -> None:
    record = TrackRecord().after_examination(False, WALL)
    for _ in range(HALF_LIFE):
        record = record.after_examination(True, WALL)
    assert record.wrong == pytest.approx(0.5)
    assert record.at(WALL + HALF_LIFE_S).wrong == pytest.approx(0.25)
    assert record.at(WALL - 1e9) == record


def test_agreement_alone_cannot_make_up_for_wrong_answers() -> None:
    record = replace(examined(0, 5), agreed=50.0)
    assert posterior_mean(record) < posterior_mean(TrackRecord())
    assert posterior_mean(replace(examined(4, 1), disagreed=50.0)) > posterior_mean(record)


def test_a_stranger_among_known_nodes_counts_little_until_it_was_examined() -> None:
    records = {HERE: examined(15, 5), A: examined(15, 5)}
    assert reliabilities([HERE, A, B], records, OPEN)[B] == NEWCOMER
    halfway = reliabilities([HERE, A, B], {**records, B: examined(8, 2)}, OPEN)[B]
    assert NEWCOMER < halfway < reliabilities([HERE, A, B], {**records, B: examined(16, 4)}, OPEN)[B]


def test_anchored_counts_strangers_little_even_where_all_are_new() -> None:
    weights = reliabilities([HERE, A, B], {}, Anchors("anchored", HERE, frozenset({A})))
    assert weights[HERE] == weights[A] > weights[B] == NEWCOMER


def test_one_caught_computation_outweighs_many_right_answers() -> None:
    made = reputation()
    for _ in range(5):
        made.examined(graded({HERE: True, A: True}))
    made.checked(A, is_sound=False)
    assert made.reliability([HERE, A])[A] < 0.45
    for _ in range(6):
        made.checked(A, is_sound=True)
    assert made.reliability([HERE, A])[A] > 0.75


def test_agreement_is_counted_only_with_a_majority_that_stands_without_the_vote() -> None:
    assert agreements(result(here="x", a="x", b="x", c="y"), OPEN) == {HERE: True, A: True, B: True, C: False}
    assert agreements(result(here="x", a="y"), OPEN) == {}
    assert agreements(result(here="x", a="x", b="y"), OPEN) == {B: False}


def test_who_was_sure_where_a_clear_majority_agreed_is_believed_to_know() -> None:
    made = reputation()
    for number in range(40):
        agrees = number % 2 == 0
        ballots = result(here="7", b="7", c="7", a="7" if agrees else f"{number}")
        votes = [
            PeerVote(ballot.node, ballot.key, "stop", 1, -0.1 if agrees else -2.0, "demo", "digest", 0.1)
            for ballot in ballots.ballots
        ]
        made.voted(votes, ballots)
    assert made.confidence(A).factor(-0.1) > 1
    assert made.confidence(HERE).factor(-0.1) == 1, "it was always with the majority: nothing is known of its claims"


def test_in_anchored_only_the_anchors_make_agreement() -> None:
    anchors = Anchors("anchored", HERE)
    judged = agreements(result(here="x", a="y", b="y", c="y"), anchors)
    assert judged == {A: False, B: False, C: False}


def test_votes_that_are_none_count_against_their_node_and_silence_does_not() -> None:
    made = reputation()
    silent = Ballot(B, "b", "", 0.0, False, False, "no answer", 9.0, "demo", answered=False)
    broken = Ballot(A, "a", "", 0.0, False, False, "nonsense", 0.1, "demo")
    made.voted((), replace(result(here="x"), ballots=(*result(here="x").ballots, silent, broken)))
    assert made.record(A).invalid == 1
    assert made.record(B) == TrackRecord(seen_at=0.0)


def test_records_survive_being_written_and_read() -> None:
    made = reputation()
    made.examined(graded({HERE: True, A: False}))
    document = json.loads(json.dumps(made.document()))
    assert from_document(document, WALL) == made.records()


@given(
    st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.dictionaries(st.text(), inner))
)
def test_whatever_the_file_holds_a_start_goes_on(document: object) -> None:
    read = from_document({"nodes": document}, WALL)
    assert from_document(to_document(read), WALL).keys() == read.keys()


def test_made_up_names_do_not_fill_the_memory() -> None:
    made = reputation()
    for number in range(300):
        made.examined(graded({NodeId(f"n{number}"): True}))
    assert len(made.records()) == 256


@given(st.integers())
def test_every_question_is_answered_by_its_own_worked_answer_and_its_bare_value(seed: int) -> None:
    asked = question(random.Random(seed))
    assert is_right(asked, asked.worked)
    assert is_right(asked, asked.value)
    assert is_right(asked, f"<think>7, 8, 9 {{}}</think>Let me see.\n{asked.value}")
    assert not is_right(asked, "I do not know.")
    assert not is_right(asked, "The answer is 100000.")


def test_wrong_values_are_wrong_in_every_form() -> None:
    for seed in range(300):
        asked, other = question(random.Random(seed)), question(random.Random(seed + 1000))
        if other.value != asked.value:
            assert not is_right(asked, other.worked) or "," not in asked.value


def test_examinations_look_like_the_requests_before_them_without_their_words() -> None:
    shapes, rng = RecentShapes(), random.Random(3)
    secret = (
        *(ChatMessage("system", "SECRET"), ChatMessage("user", "SECRET"), ChatMessage("assistant", "SECRET")),
        ChatMessage("user", "SECRET"),
    )
    shapes.note(ask("demo", prompt=secret, sampling=Sampling(0.7, 0.9, 300, ("SECRET",), 5)))
    request, asked = examination(RequestId("id"), shapes.draw(rng), rng)
    assert [message.role for message in request.prompt] == [message.role for message in secret]
    assert (request.sampling, request.model) == (Sampling(0.7, 0.9, 300), "demo")
    assert "SECRET" not in repr(request)
    assert request.prompt[-1].content == asked.text


@pytest.mark.parametrize(
    "request_",
    [
        ask(sampling=Sampling(max_tokens=8)),
        ask(sampling=Sampling(temperature=1.9)),
        ask(sampling=Sampling(logit_bias=((5, -100.0),))),
        ask(prompt=(ChatMessage("user", "a"), ChatMessage("user", "b"))),
        ask(prompt=tuple(ChatMessage("user", "a") for _ in range(20))),
    ],
)
def test_requests_that_no_question_fits_are_no_moulds(request_: GenerationRequest) -> None:
    assert not is_usable(shape_of(request_))


def test_raw_text_is_examined_as_raw_text() -> None:
    shape = shape_of(ask(prompt="Once upon a time"))
    request, asked = examination(RequestId("id"), shape, random.Random(1))
    assert isinstance(request.prompt, str)
    assert asked.text in request.prompt
