"""What was measured of servers decides what they are expected to cost."""

import pytest

from swarm.domain.nodes import BlockSpan
from swarm.worker.chain.measures import FAILURE_LASTS_S, STALE_AFTER_S, STEP_OVERHEAD_S, Measures
from swarm.worker.chain.routing import DEFAULT_HOP_S, Offer

OFFER = Offer("a", BlockSpan(0, 4), block_s=0.01)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def measures(clock: Clock) -> Measures:
    return Measures(clock)


def hop_s(measures: Measures) -> float:
    found = measures.priced(OFFER).hop_s
    assert found is not None
    return found


def test_a_hop_costs_what_a_step_takes_beyond_its_blocks(measures: Measures) -> None:
    assert hop_s(measures) == DEFAULT_HOP_S
    measures.stepped(OFFER, 4, 1, 0.06)
    assert hop_s(measures) == pytest.approx(0.02)
    for _ in range(50):
        measures.stepped(OFFER, 4, 1, 0.05)
    assert hop_s(measures) == pytest.approx(0.01, rel=0.01)


def test_one_that_claims_to_be_slower_than_it_is_gains_nothing_below_its_ping(measures: Measures) -> None:
    measures.pinged("a", 0.003)
    measures.stepped(OFFER, 4, 1, 0.01)
    assert hop_s(measures) == pytest.approx(0.003)


def test_what_a_server_says_of_its_compute_is_taken_from_the_hop(measures: Measures) -> None:
    measures.stepped(OFFER, 4, 1, 0.1, compute_s=0.08)
    priced = measures.priced(OFFER)
    assert (priced.block_s, priced.hop_s) == (pytest.approx(0.02), pytest.approx(0.02))
    assert measures.expected_s(OFFER, 4, 1) == pytest.approx(0.1)


@pytest.mark.parametrize("claim", [5.0, -1.0, 0.0, float("nan"), float("inf")])
def test_a_claim_changes_nothing_in_what_a_step_is_expected_to_take(measures: Measures, claim: float) -> None:
    measures.stepped(OFFER, 4, 1, 0.1, compute_s=claim)
    assert measures.expected_s(OFFER, 4, 1) == pytest.approx(0.1)


def test_this_node_knows_its_own_blocks_by_their_steps(measures: Measures, clock: Clock) -> None:
    own = Offer(None, BlockSpan(0, 4), block_s=0.01)
    measures.stepped(own, 4, 1, 0.3, compute_s=0.2)
    assert (measures.priced(own).block_s, measures.priced(own).hop_s) == (pytest.approx(0.05), 0.0)
    clock.now += STALE_AFTER_S
    assert measures.priced(own).block_s == 0.01


def test_what_is_not_used_is_known_by_its_pings(measures: Measures, clock: Clock) -> None:
    measures.pinged("a", 0.1)
    assert hop_s(measures) == pytest.approx(0.1 + STEP_OVERHEAD_S)
    measures.stepped(OFFER, 4, 1, 1.04)
    assert hop_s(measures) == pytest.approx(1.0)
    clock.now += STALE_AFTER_S
    assert hop_s(measures) == pytest.approx(0.1 + STEP_OVERHEAD_S)


def test_failures_are_forgiven_with_time_and_suspicion_with_an_answer(measures: Measures, clock: Clock) -> None:
    measures.failed("a")
    assert hop_s(measures) > 0.9
    clock.now += FAILURE_LASTS_S
    assert hop_s(measures) == DEFAULT_HOP_S
    measures.suspect("a", is_suspect=True)
    assert hop_s(measures) > 4
    assert measures.expected_s(OFFER, 4, 1) < 1
    measures.suspect("a", is_suspect=False)
    assert hop_s(measures) == DEFAULT_HOP_S


def test_prompts_are_measured_apart(measures: Measures) -> None:
    measures.stepped(OFFER, 4, 100, 0.4)
    assert measures.expected_s(OFFER, 4, 200) == pytest.approx(0.8 + DEFAULT_HOP_S)
    assert measures.expected_s(OFFER, 4, 1) == pytest.approx(0.04 + DEFAULT_HOP_S)


def test_own_sequences_count_until_they_are_closed_and_gone_servers_are_forgotten(measures: Measures) -> None:
    measures.opened("a")
    measures.opened(None)
    measures.keep_only(set())
    assert measures.priced(OFFER).load == 1
    assert measures.priced(Offer(None, BlockSpan(0, 1))).load == 1
    measures.closed("a")
    measures.pinged("a", 1.0)
    measures.keep_only(set())
    assert measures.priced(OFFER).load == 0
    assert hop_s(measures) == DEFAULT_HOP_S


def test_those_that_were_pinged_longest_ago_are_next(measures: Measures, clock: Clock) -> None:
    measures.pinged("a", 0.1)
    clock.now += 1
    measures.pinged("b", 0.1)
    assert measures.longest_unpinged(["a", "b", "c"], 2) == ["c", "a"]
