"""A pool in numbers, as simulations of votes model it: questions of unlike difficulty, wrong answers that attract, and
members that are surer where they are right. The bounds are wide; figures of real models are in the benchmarks."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest

from swarm.domain.federation import PeerVote
from swarm.domain.ids import NodeId, StrategyName
from swarm.federation.canonical import canonical_answer
from swarm.federation.rules import VoteRules
from swarm.federation.strategies import decide
from swarm.federation.trust.reliability import Anchors
from swarm.federation.trust.reputation import Examined, Reputation

QUESTIONS = 500
SKILL, CONCENTRATION = 0.7, 4.0
ATTRACTION = 0.35
RIGHT, TRAP, LIE = 70, 71, 666

Fault = Callable[[int, PeerVote], PeerVote]


def says(node: int, number: int, logprob: float) -> PeerVote:
    text = f"The answer is {number}."
    return PeerVote(NodeId(f"n{node}"), text, "stop", 6, logprob, "m", f"digest{node}", 1.0 + node / 10)


def honest(rng: random.Random, members: int) -> list[list[PeerVote]]:
    rows = []
    for _ in range(QUESTIONS):
        ease = rng.betavariate(SKILL * CONCENTRATION, (1 - SKILL) * CONCENTRATION)
        row = []
        for node in range(members):
            is_right = rng.random() < ease
            number = RIGHT if is_right else TRAP if rng.random() < ATTRACTION else rng.randint(100, 600)
            row.append(says(node, number, min(0.0, rng.gauss(-0.4 if is_right else -0.8, 0.4))))
        rows.append(row)
    return rows


def lying(rows: list[list[PeerVote]], liars: int) -> list[list[PeerVote]]:
    """The last ones agree on a lie, and are always sure."""
    return [row[: len(row) - liars] + [says(len(row) - 1 - n, LIE, 0.0) for n in range(liars)] for row in rows]


def right_share(rows: list[list[PeerVote]], strategy: StrategyName, *, examined_every: int = 0) -> float:
    """Of the questions after the first hundred, which teach."""
    reputation, right = Reputation(Anchors, lambda: 0.0), 0
    for number, row in enumerate(rows):
        nodes = tuple(vote.node for vote in row)
        known = {node: reputation.confidence(node) for node in nodes}
        rules = VoteRules(nodes, nodes[0], reliability=reputation.reliability(nodes), confidence=known)
        result = decide(strategy, row, rules)
        right += number >= 100 and result.winner.text == says(0, RIGHT, 0.0).text
        reputation.voted(row, result)
        if examined_every and number % examined_every == 0:
            reputation.examined({vote.node: examined(vote) for vote in row})
    return right / (len(rows) - 100)


def examined(vote: PeerVote) -> Examined:
    key = canonical_answer(vote.text).key
    return Examined(key == str(RIGHT), key, vote.mean_logprob)


def plurality_share(rows: list[list[PeerVote]]) -> float:
    """Heads alone; of equally many the first."""
    texts = [[vote.text for vote in row] for row in rows[100:]]
    chosen = [max(row, key=lambda text, row=row: (Counter(row)[text], -row.index(text))) for row in texts]  # type: ignore[misc]
    return sum(text == says(0, RIGHT, 0.0).text for text in chosen) / len(chosen)


@pytest.fixture(scope="module")
def five() -> list[list[PeerVote]]:
    return honest(random.Random(5), 5)


def test_a_vote_with_a_record_gains_on_heads_alone_and_on_a_member(five) -> None:
    learned, heads = right_share(five, "weighted_vote", examined_every=4), plurality_share(five)
    assert learned >= heads + 0.01
    assert learned >= SKILL + 0.10


def test_one_sure_liar_of_five_costs_little(five) -> None:
    for strategy in ("weighted_vote", "best_of_n"):
        clean, with_liar = right_share(five, strategy), right_share(lying(five, 1), strategy)
        assert clean - with_liar <= 0.06
    assert right_share(lying(five, 1), "best_of_n") >= 0.70


def test_two_sure_liars_of_five_are_found_out(five) -> None:
    assert right_share(lying(five, 2), "weighted_vote", examined_every=20) >= 0.70


def test_three_sure_liars_of_seven_are_found_out() -> None:
    seven = honest(random.Random(7), 7)
    learned = right_share(lying(seven, 3), "weighted_vote", examined_every=20)
    assert learned >= plurality_share(lying(seven, 3)) + 0.15
    assert learned >= SKILL


def test_claims_that_mislead_cost_nothing(five) -> None:
    inverted = [[says(at, _number(vote), -1 - (vote.mean_logprob or 0)) for at, vote in enumerate(row)] for row in five]
    assert right_share(inverted, "weighted_vote", examined_every=4) >= plurality_share(five) - 0.02


def _number(vote: PeerVote) -> int:
    return int(canonical_answer(vote.text).key)
