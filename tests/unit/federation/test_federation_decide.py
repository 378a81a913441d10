from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.domain.errors import Unavailable, Undecided
from swarm.domain.federation import FederationResult, PeerVote
from swarm.domain.ids import FinishReason, NodeId, StrategyName, TrustMode
from swarm.federation.canonical import CanonicalAnswer, canonical_answer
from swarm.federation.confidence import ConfidenceRecord
from swarm.federation.early_stop import is_decided
from swarm.federation.rules import VoteRules
from swarm.federation.strategies import STRATEGIES, decide

NAMES: tuple[StrategyName, ...] = ("best_of_n", "weighted_vote", "first_valid", "mbr", "abstain")
ESSAYS = (
    "The tide rises and falls because the moon pulls at the water of the sea twice a day.",
    "The tide rises and falls because the moon pulls at the water of the seas two times a day.",
    "Bread rises because yeast turns sugar into gas, and the dough keeps the bubbles in.",
)


def vote(node: str, text: str, logprob: float | None = -0.3, latency_s: float = 1.0, **changes: object) -> PeerVote:
    tokens = max(1, len(text) // 3)
    made = PeerVote(NodeId(node), text, "stop", tokens, logprob, "demo", "digest", latency_s)
    return replace(made, **changes)  # type: ignore[arg-type]


def says(number: int) -> str:
    return f"We work it out step by step. The answer is {number}."


ANSWERS = st.sampled_from([says(1), says(2), says(3), "", "1", *ESSAYS])
FINISHES: st.SearchStrategy[FinishReason | None] = st.sampled_from(["stop", "stop", "stop", "length", None])


def discerning() -> ConfidenceRecord:
    """Of a node that is surer where it is right."""
    record = ConfidenceRecord()
    for number in range(64):
        claim = -1.5 + number / 50
        record = record.with_claim(claim).with_graded(claim, right=number > 31)
    return record


def outcome(strategy: StrategyName, votes: list[PeerVote], rules: VoteRules) -> FederationResult | str | None:
    """The result, what is said where it is undecided, or None where no vote counts."""
    try:
        return decide(strategy, votes, rules)
    except Undecided as undecided:
        return str(undecided)
    except Unavailable:
        return None


def answer_of(found: FederationResult | str | None) -> CanonicalAnswer | None:
    return canonical_answer(found.winner.text) if isinstance(found, FederationResult) else None


@st.composite
def elections(draw: st.DrawFn) -> list[PeerVote]:
    count = draw(st.integers(1, 7))
    return [
        vote(
            f"node{index}",
            draw(ANSWERS),
            draw(st.one_of(st.none(), st.floats(-3, 0), st.sampled_from([-1.0, 0.0]))),
            draw(st.sampled_from([0.5, 1.0, 2.0])),
            finish_reason=draw(FINISHES),
            model_digest=draw(st.sampled_from(["a", "b", "c", ""])),
        )
        for index in range(count)
    ]


RECORDS = {NodeId(f"node{i}"): discerning() for i in range(4)}
TRUST: st.SearchStrategy[TrustMode] = st.sampled_from(["open", "local_double", "anchored"])
RELIABILITY = st.dictionaries(st.sampled_from([NodeId(f"node{i}") for i in range(7)]), st.floats(0, 1), max_size=7)


@pytest.mark.parametrize("strategy", NAMES)
@given(elections(), st.randoms(use_true_random=False), RELIABILITY, TRUST)
def test_the_order_of_the_votes_is_no_matter(strategy, votes, rng, reliability, trust) -> None:
    rules = VoteRules(local=NodeId("node0"), reliability=reliability, confidence=RECORDS, trust=trust)
    shuffled = rng.sample(votes, len(votes))
    assert outcome(strategy, shuffled, rules) == outcome(strategy, votes, rules)


@pytest.mark.parametrize("strategy", NAMES)
@settings(max_examples=300)
@given(elections(), st.integers(1, 7), RELIABILITY, TRUST)
def test_an_early_decision_is_the_one_that_waiting_would_have_made(strategy, votes, came, reliability, trust) -> None:
    votes.sort(key=lambda v: v.latency_s)
    early, late = votes[:came], votes[came:]
    invited = tuple(v.node for v in votes)
    rules = VoteRules(invited, NodeId("node0"), reliability=reliability, confidence=RECORDS, trust=trust)
    if late and is_decided(strategy, early, [v.node for v in late], rules):
        assert answer_of(outcome(strategy, early, rules)) == answer_of(outcome(strategy, votes, rules))


@pytest.mark.parametrize("strategy", ["best_of_n", "weighted_vote"])
@given(
    st.integers(1, 4),
    st.lists(st.floats(-5, -0.01) | st.none(), min_size=9, max_size=9),
    st.booleans(),
    st.booleans(),
)
def test_no_claim_of_a_minority_outweighs_the_majority(strategy, liars, logprobs, same_model, more_honest) -> None:
    honest = liars + 1 + more_honest
    right = [vote(f"honest{i}", says(70), logprobs[i], model_digest="one") for i in range(min(honest, 9 - liars))]
    wrong = [vote(f"liar{i}", says(666), 0.0, 0.001, model_digest=f"m{i * same_model}") for i in range(liars)]
    result = decide(strategy, right + wrong, VoteRules(local=NodeId("liar0")))
    assert result.winner.text == says(70)
    assert result.decided


@pytest.mark.parametrize("strategy", ["best_of_n", "weighted_vote"])
def test_a_node_with_many_candidates_has_one_vote(strategy) -> None:
    flood = [vote("liar", says(666), 0.0, latency_s=0.1 + i / 100) for i in range(16)]
    honest = [vote("a", says(70)), vote("b", says(70))]
    assert decide(strategy, flood + honest, VoteRules()).winner.text == says(70)


@pytest.mark.parametrize("strategy", ["best_of_n", "weighted_vote"])
def test_candidates_of_a_node_that_votes_with_itself_each_count(strategy) -> None:
    votes = [vote("here", says(1), 0.0), vote("here", says(2), -0.5), vote("here", says(2), -0.6)]
    result = decide(strategy, votes, VoteRules(local=NodeId("here")))
    assert result.winner.text == says(2)
    assert result.agreement == pytest.approx(2 / 3, abs=0.05)


def test_confidence_orders_answers_that_are_otherwise_tied() -> None:
    votes = [vote("a", says(1), -0.9), vote("b", says(2), -0.3), vote("c", says(3), -0.5)]
    result = decide("weighted_vote", votes, VoteRules(confidence={vote.node: discerning() for vote in votes}))
    assert result.winner.node == "b"
    assert not result.decided


def test_a_tie_goes_to_this_node() -> None:
    votes = [vote("a", says(1), None, 0.1), vote("here", says(2), None)]
    assert decide("weighted_vote", votes, VoteRules(local=NodeId("here"))).winner.node == "here"


def test_a_tie_goes_to_the_model_that_was_asked_for_before_this_node() -> None:
    votes = [vote("a", says(1), None, model="large"), vote("here", says(2), None)]
    assert decide("weighted_vote", votes, VoteRules(local=NodeId("here"), model="large")).winner.node == "a"


def test_reliability_outweighs_heads_but_is_capped() -> None:
    votes = [vote("good", says(1)), vote("poor1", says(2)), vote("poor2", says(2))]
    reliability = {NodeId("good"): 0.95, NodeId("poor1"): 0.4, NodeId("poor2"): 0.4}
    assert decide("weighted_vote", votes, VoteRules(reliability=reliability)).winner.text == says(1)
    reliability = {NodeId("good"): 1.0}
    assert decide("weighted_vote", votes, VoteRules(reliability=reliability)).winner.text == says(2)


def test_a_whole_answer_speaks_for_one_that_was_cut_off() -> None:
    votes = [vote("a", says(1) + " So", -0.01, finish_reason="length"), vote("b", says(1), -2.0)]
    assert decide("weighted_vote", votes, VoteRules()).winner.node == "b"


@pytest.mark.parametrize("strategy", ["best_of_n", "weighted_vote"])
def test_among_free_texts_the_most_central_is_chosen_never_the_loudest(strategy) -> None:
    votes = [vote("a", ESSAYS[0], -1.0), vote("b", ESSAYS[1], -1.0), vote("c", ESSAYS[2], 0.0)]
    assert decide(strategy, votes, VoteRules()).winner.node in ("a", "b")


def test_best_of_n_takes_two_that_agree_before_any_single_answer() -> None:
    votes = [vote("a", says(1), 0.0), vote("b", says(2), -2.0), vote("c", says(2), -2.0), vote("d", says(4), 0.0)]
    assert decide("best_of_n", votes, VoteRules()).winner.text == says(2)


def test_first_valid_takes_the_earliest_that_counts() -> None:
    votes = [vote("fast", "", latency_s=0.1), vote("slow", says(1), latency_s=3), vote("next", says(2), latency_s=1)]
    assert decide("first_valid", votes, VoteRules()).winner.node == "next"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"error": "no answer within 60 s"}, "no answer within 60 s"),
        ({"finish_reason": None}, "not finished"),
        ({"text": "<think>hm</think> "}, "empty"),
        ({"text": "x" * 300_000, "tokens": 100_000}, "longer than"),
        ({"mean_logprob": 0.5}, "log-probability"),
        ({"mean_logprob": math.nan}, "log-probability"),
        ({"mean_logprob": -math.inf}, "log-probability"),
        ({"tokens": 1, "text": "word " * 100}, "so long a text"),
        ({"tokens": 900}, "so short a text"),
        ({"latency_s": math.inf}, "latency"),
    ],
)
def test_an_invalid_vote_is_a_ballot_with_its_reason_and_no_weight(changes, words) -> None:
    result = decide("weighted_vote", [vote("good", says(1)), replace(vote("bad", says(2)), **changes)], VoteRules())
    ballot = next(ballot for ballot in result.ballots if ballot.node == "bad")
    assert words in ballot.reason
    assert (ballot.valid, ballot.weight, ballot.chosen, ballot.answer) == (False, 0.0, False, "")


@pytest.mark.parametrize("strategy", NAMES)
def test_without_a_valid_vote_the_error_names_everybody_and_why(strategy) -> None:
    with pytest.raises(Unavailable, match="oven: the answer is empty"):
        decide(strategy, [vote("a", "")], VoteRules(names={NodeId("a"): "oven"}))


def test_ballots_show_the_canonical_answer_and_what_the_weight_is_made_of() -> None:
    result = decide("weighted_vote", [vote("a", says(70)), vote("b", says(70))], VoteRules())
    assert {ballot.answer for ballot in result.ballots} == {"70"}
    assert all("reliability 1.00 × duplication 0.91" in ballot.reason for ballot in result.ballots)
    assert sum(ballot.chosen for ballot in result.ballots) == 1
    assert (result.agreement, result.margin, result.decided) == (1.0, 1.0, True)


def test_two_of_three_that_agree_decide_without_the_third() -> None:
    rules = VoteRules(tuple(map(NodeId, "abc")))
    agreed, split = [vote("a", says(1), -1.0), vote("b", says(1))], [vote("a", says(1)), vote("b", says(2))]
    for strategy in ("weighted_vote", "best_of_n"):
        assert is_decided(strategy, agreed, [NodeId("c")], rules)
        assert not is_decided(strategy, split, [NodeId("c")], rules)
        assert not is_decided(strategy, agreed[:1], [NodeId("b"), NodeId("c")], rules)


@pytest.mark.parametrize("voters", [3, 5, 7])
def test_a_strict_majority_is_enough_to_stop(voters) -> None:
    nodes = [NodeId(f"n{i}") for i in range(voters)]
    came = [vote(node, says(1), -i / 10) for i, node in enumerate(nodes[: voters // 2 + 1])]
    assert is_decided("weighted_vote", came, nodes[len(came) :], VoteRules(tuple(nodes)))


def test_a_vote_that_can_turn_a_tie_is_waited_for() -> None:
    nodes = tuple(map(NodeId, ("a", "b", "c")))
    rules = VoteRules(nodes, local=NodeId("a"), reliability={NodeId("c"): 0.0})
    came = [vote("a", says(1)), vote("b", says(2))]
    assert decide("weighted_vote", came, rules).winner.node == "a"
    assert decide("weighted_vote", [*came, vote("c", says(2))], rules).winner.node == "b"
    assert not is_decided("weighted_vote", came, nodes[2:], rules)


def test_free_texts_are_waited_for() -> None:
    rules = VoteRules(tuple(map(NodeId, "abc")))
    assert not is_decided("weighted_vote", [vote("a", ESSAYS[0]), vote("b", ESSAYS[0])], [NodeId("c")], rules)


def test_every_strategy_has_its_function() -> None:
    assert set(STRATEGIES) == set(NAMES)
