from __future__ import annotations

import math
from dataclasses import replace
from itertools import chain, combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.domain.answers import AnswerForm, ToolCall
from swarm.domain.errors import Undecided
from swarm.domain.federation import PeerVote
from swarm.domain.ids import NodeId, StrategyName
from swarm.federation.best_of_n import repeats, wants_cross_scores
from swarm.federation.confidence import ConfidenceRecord
from swarm.federation.early_stop import is_decided
from swarm.federation.rules import VoteRules
from swarm.federation.strategies import decide
from swarm.federation.weights import LARGEST_RELIABILITY, electorate_of

A, B, C, D, E = map(NodeId, "abcde")
TELLING = tuple((-0.01 * n, n < 50) for n in range(100))


def vote(node: str, text: str, logprob: float | None = -0.5, latency_s: float = 1.0) -> PeerVote:
    return PeerVote(NodeId(node), text, "stop", max(1, len(text) // 3), logprob, "demo", f"digest {node}", latency_s)


def says(number: int) -> str:
    return f"We work it out step by step. The answer is {number}."


def telling_record() -> ConfidenceRecord:
    return ConfidenceRecord(tuple(claim for claim, _ in TELLING), TELLING, 0.5)


def test_between_two_nodes_no_certainty_decides() -> None:
    rules = VoteRules((A, B), local=A, confidence={A: telling_record(), B: telling_record()})
    for strategy in ("weighted_vote", "best_of_n"):
        assert decide(strategy, [vote("a", says(1), -0.9), vote("b", says(2), 0.0)], rules).winner.node == A


def test_between_two_nodes_the_record_decides() -> None:
    rules = VoteRules((A, B), local=A, reliability={A: 0.5, B: 0.8})
    assert decide("weighted_vote", [vote("a", says(1)), vote("b", says(2))], rules).winner.node == B


@given(st.floats(-5, 0), st.lists(st.floats(-5, 0), min_size=2, max_size=2))
def test_no_claim_weighs_more_than_the_cap(claim, others) -> None:
    votes = [vote("a", says(1), claim), vote("b", says(2), others[0]), vote("c", says(3), others[1])]
    rules = VoteRules(confidence={node: telling_record() for node in (A, B, C)})
    ballot = next(ballot for ballot in decide("weighted_vote", votes, rules).ballots if ballot.node == A)
    assert 0.5 * 0.9 <= ballot.weight <= 0.4 * 3


def test_reliability_counts_in_log_odds_and_strangers_count_one() -> None:
    worth = electorate_of(frozenset((A, B, C)), VoteRules(reliability={A: 0.9, B: 0.2})).reliability
    assert worth[C] == 1
    assert worth[B] == 0
    assert 1 < worth[A] <= LARGEST_RELIABILITY


def test_questions_that_are_hard_for_all_hurt_nobody() -> None:
    worth = electorate_of(frozenset((A, B, C)), VoteRules(reliability={A: 0.1, B: 0.1, C: 0.02})).reliability
    assert worth[A] == worth[B] == 1
    assert worth[C] == 0


@pytest.mark.parametrize("worth", [math.nan, math.inf, -1.0, 7.0])
def test_a_broken_record_is_no_weight_beyond_bounds(worth) -> None:
    found = electorate_of(frozenset((A, B)), VoteRules(reliability={A: worth})).reliability
    assert 0 <= found[A] <= LARGEST_RELIABILITY


def test_this_node_counts_twice_under_local_double() -> None:
    votes = [vote("a", says(1)), vote("b", says(2)), vote("c", says(2)), vote("d", says(3)), vote("e", says(1))]
    rules = VoteRules((A, B, C, D, E), local=A)
    assert decide("weighted_vote", [votes[0], *votes[1:4]], rules).winner.text == says(2)
    assert decide("weighted_vote", votes, replace(rules, trust="local_double")).winner.text == says(1)


def test_an_anchored_vote_goes_against_this_node_only_by_most_heads() -> None:
    rules = VoteRules((A, B, C, D, E), local=A, trust="anchored")
    two = [vote("a", says(1)), vote("b", says(2)), vote("c", says(2)), vote("d", says(3)), vote("e", says(4))]
    for strategy in ("weighted_vote", "best_of_n"):
        assert decide(strategy, two, rules).winner.node == A
        assert decide(strategy, [*two[:3], vote("d", says(2)), two[4]], rules).winner.text == says(2)
        assert decide(strategy, two, replace(rules, trust="open")).winner.text == says(2)
        assert decide(strategy, two[1:], rules).winner.text == says(2)


def test_abstain_answers_by_a_strict_majority_of_the_invited_only() -> None:
    rules = VoteRules((A, B, C))
    assert decide("abstain", [vote("a", says(1)), vote("b", says(1)), vote("c", says(2))], rules).winner.text == says(1)
    with pytest.raises(Undecided) as caught:
        decide("abstain", [vote("a", says(1)), vote("b", says(2)), vote("c", says(3))], rules)
    assert (caught.value.status, caught.value.code) == (409, "undecided")
    assert len(caught.value.decision.ballots) == 3
    with pytest.raises(Undecided):
        decide("abstain", [vote("a", says(1)), replace(vote("b", ""), error="it hung up")], VoteRules((A, B)))


def test_abstain_knows_early_that_there_will_be_none() -> None:
    rules = VoteRules((A, B, C, D, E))
    apart = [vote(node, says(number)) for number, node in enumerate("abcd")]
    assert is_decided("abstain", apart, [E], rules)
    assert not is_decided("abstain", apart[:2], [C, D, E], rules)


TEXTS = (
    "The tide rises because the moon pulls at the water of the sea, twice a day.",
    "The tide rises since the moon pulls at the water of the seas two times in a day.",
    "The moon pulls at the water of the sea, and so the tide rises twice a day.",
    "Bread rises because yeast turns sugar into gas and the dough keeps it in.",
)


def test_mbr_takes_the_most_typical_text() -> None:
    votes = [vote(node, text, 0.0 if node == "d" else -2.0) for node, text in zip("abcd", TEXTS, strict=True)]
    assert decide("mbr", votes, VoteRules()).winner.node in (A, C)
    assert not is_decided("mbr", votes[:3], [D], VoteRules((A, B, C, D)))


def scores(votes: list[PeerVote], given: dict[str, float]) -> VoteRules:
    """Each scorer gives the author's name its score; authors praise themselves."""
    nodes = [vote.node for vote in votes]
    return VoteRules(
        cross_scores={
            (vote.node, vote.text): {node: 0.0 if node == vote.node else given[vote.node] for node in nodes}
            for vote in votes
        }
    )


def test_best_of_n_asks_what_the_others_find_likely() -> None:
    votes = [vote(node, text) for node, text in zip("abcd", TEXTS, strict=True)]
    assert decide("best_of_n", votes, scores(votes, {"a": -3, "b": -0.1, "c": -2, "d": -5})).winner.node == B
    assert wants_cross_scores(votes, VoteRules()) == tuple(sorted(votes, key=lambda vote: vote.node))


def test_best_of_n_scores_nothing_where_two_agree_or_only_two_answered() -> None:
    agreed = [vote("a", says(1)), vote("b", says(1)), vote("c", says(2))]
    assert wants_cross_scores(agreed, VoteRules()) == ()
    assert wants_cross_scores([agreed[0], agreed[2]], VoteRules()) == ()


def test_one_scorer_that_lies_does_not_move_the_median() -> None:
    votes = [vote(node, text) for node, text in zip("abcd", TEXTS, strict=True)]
    rules = scores(votes, {"a": -3, "b": -0.1, "c": -2, "d": -5})
    lied = {key: {**given, D: -9.0 if key[0] == B else 0.0} for key, given in rules.cross_scores.items()}
    assert decide("best_of_n", votes, replace(rules, cross_scores=lied)).winner.node == B


@pytest.mark.parametrize("score", [math.nan, math.inf, 5.0, -math.inf])
def test_scores_that_are_none_are_left_out(score) -> None:
    votes = [vote(node, text) for node, text in zip("abcd", TEXTS, strict=True)]
    rules = scores(votes, {"a": -3, "b": -0.1, "c": -2, "d": -5})
    broken = {key: {**given, D: score} for key, given in rules.cross_scores.items()}
    assert decide("best_of_n", votes, replace(rules, cross_scores=broken)).winner.node == B


def test_best_of_n_never_takes_a_text_that_goes_round_in_circles_or_refuses_alone() -> None:
    circles = TEXTS[1] + " and so on and on" * 12
    refusal = "I cannot help with the tide because the moon pulls at the water of the sea each day."
    for bad in (circles, refusal):
        votes = [vote("a", TEXTS[0]), vote("b", bad), vote("c", TEXTS[3])]
        assert decide("best_of_n", votes, scores(votes, {"a": -2, "b": -0.1, "c": -5})).winner.node == A
    assert repeats(circles)
    assert not repeats(" ".join(TEXTS))


CALL = ToolCall("weather", '{"city": "Oslo", "days": 3}')
TOOLS = AnswerForm("tools", tools={"weather": {"type": "object", "required": ["city"]}})


def calls(node: str, call: ToolCall) -> PeerVote:
    return replace(vote(node, ""), tool_calls=(call,), tokens=20)


def test_tool_calls_are_voted_on_by_their_arguments() -> None:
    other = ToolCall("weather", '{"days":3,"city":"Oslo"}')
    votes = [calls("a", CALL), calls("b", other), calls("c", ToolCall("weather", '{"city": "Rome"}'))]
    result = decide("weighted_vote", votes, VoteRules(form=TOOLS))
    assert result.winner.tool_calls in ((CALL,), (other,))
    assert result.decided


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (ToolCall("delete_everything", "{}"), "does not offer"),
        (ToolCall("weather", "{city"), "not JSON"),
        (ToolCall("weather", "{}"), "break the schema: “required”"),
    ],
)
def test_calls_that_were_not_offered_or_break_their_schema_do_not_count(call, words) -> None:
    result = decide("weighted_vote", [calls("a", CALL), calls("b", call)], VoteRules(form=TOOLS))
    assert words in next(ballot.reason for ballot in result.ballots if ballot.node == B)
    unasked = decide("weighted_vote", [vote("a", says(1)), calls("b", call)], VoteRules())
    assert "does not offer" in next(ballot.reason for ballot in unasked.ballots if ballot.node == B)


def test_answers_that_are_not_the_json_asked_for_do_not_count() -> None:
    form = AnswerForm("json", schema={"type": "object", "required": ["sum"]})
    texts = {"a": '{"sum": 3}', "b": "The answer is 3.", "c": '{"difference": 1}'}
    result = decide("weighted_vote", [vote(*pair) for pair in texts.items()], VoteRules(form=form))
    assert [ballot.node for ballot in result.ballots if ballot.valid] == [A]


NUMBERS = st.lists(st.sampled_from([1, 2, 3]), min_size=2, max_size=5)


@pytest.mark.parametrize("strategy", ["weighted_vote", "best_of_n", "abstain"])
@settings(max_examples=50, deadline=None)
@given(NUMBERS, st.lists(st.sampled_from([0.2, 0.6, 0.9]), min_size=5, max_size=5), st.booleans())
def test_whatever_the_order_of_arrival_stopping_early_is_waiting_for_all(
    strategy: StrategyName, numbers, chances, anchored
) -> None:
    """Every point in every order: what has come by then is any part of the votes."""
    votes = [vote(node, says(number), -0.1 * n) for n, (node, number) in enumerate(zip("abcde", numbers, strict=False))]
    rules = VoteRules(
        tuple(vote.node for vote in votes),
        local=A,
        trust="anchored" if anchored else "open",
        reliability=dict(zip((A, B, C, D, E), chances, strict=True)),
        confidence={A: telling_record(), B: telling_record()},
    )
    final = chosen(strategy, votes, rules)
    for came in chain.from_iterable(combinations(votes, count) for count in range(1, len(votes))):
        if is_decided(strategy, came, [vote.node for vote in votes if vote not in came], rules):
            assert chosen(strategy, came, rules) == final


def chosen(strategy: StrategyName, votes: tuple[PeerVote, ...] | list[PeerVote], rules: VoteRules) -> str | None:
    try:
        return decide(strategy, votes, rules).winner.text
    except Undecided:
        return None
