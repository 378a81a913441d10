from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.federation.confidence import KEPT, NO_RECORD, ConfidenceRecord, area_under_curve, spread_of
from swarm.federation.ranks import midranks, unit_ranks, weighted_median

CLAIMS = st.floats(-20, 0)


def record_of(claims: list[float], graded: list[tuple[float, bool]]) -> ConfidenceRecord:
    record = NO_RECORD
    for claim in claims:
        record = record.with_claim(claim)
    for claim, right in graded:
        record = record.with_graded(claim, right)
    return record


TELLING = [(-0.1 * n, n < 10) for n in range(20)]
MISLEADING = [(-0.1 * n, n >= 10) for n in range(20)]


def test_a_claim_counts_by_its_rank_among_the_nodes_own() -> None:
    record = record_of([-0.1 * n for n in range(40)], TELLING)
    assert record.factor(0.0) > 1.4
    assert record.factor(-1.95) == pytest.approx(1.0, abs=0.05)
    assert record.factor(-9.0) == 0.5
    assert record.factor(None) == 1.0


def test_who_is_always_sure_gains_nothing_by_it() -> None:
    assert record_of([0.0] * 100, TELLING).factor(0.0) == 1.0


@pytest.mark.parametrize("graded", [[], TELLING[:8], MISLEADING, [(-1.0, n % 2 == 0) for n in range(50)]])
def test_confidence_that_never_told_right_from_wrong_counts_for_nothing(graded) -> None:
    assert record_of([-0.1 * n for n in range(40)], graded).factor(0.0) == 1.0


def test_agreement_stands_in_for_checks_until_there_are_enough() -> None:
    record = record_of([-0.1 * n for n in range(40)], [])
    for claim, agrees in TELLING[:19]:
        record = record.with_agreed(claim, agrees)
    assert record.factor(0.0) == 1.0
    for claim, agrees in TELLING[19:] + TELLING[:4]:
        record = record.with_agreed(claim, agrees)
    assert record.factor(0.0) > 1.4
    for claim, right in MISLEADING:
        record = record.with_graded(claim, right)
    assert record.factor(0.0) == 1.0


def test_a_short_history_counts_for_nothing() -> None:
    assert record_of([-1.0] * 31, TELLING).factor(0.0) == 1.0
    assert record_of([-1.0] * 31, TELLING).largest_factor == 1.0


@given(st.lists(CLAIMS, max_size=400), st.lists(st.tuples(CLAIMS, st.booleans()), max_size=60), CLAIMS)
def test_no_claim_leaves_its_bounds(claims, graded, claim) -> None:
    record = ConfidenceRecord(tuple(claims[-KEPT:]), tuple(graded), spread_of(graded))
    assert 0.5 <= record.factor(claim) <= record.largest_factor <= 1.5


def test_only_the_latest_claims_are_kept() -> None:
    record = record_of([-1.0] * 300, [(-1.0, True)] * 300)
    assert len(record.claims) == len(record.graded) == KEPT


@given(st.lists(st.tuples(st.sampled_from([-3.0, -2.0, -1.0]), st.booleans()), max_size=30))
def test_the_area_is_the_share_of_pairs_in_the_right_order(graded) -> None:
    right = [claim for claim, was_right in graded if was_right]
    wrong = [claim for claim, was_right in graded if not was_right]
    if right and wrong:
        won = sum((r > w) + 0.5 * (r == w) for r in right for w in wrong)
        assert area_under_curve(graded) == pytest.approx(won / (len(right) * len(wrong)))


def test_ranks_and_medians() -> None:
    assert midranks([3.0, 1.0, 3.0]) == [2.5, 1.0, 2.5]
    assert unit_ranks([3.0, 1.0, 2.0]) == [1.0, 0.0, 0.5]
    assert unit_ranks([7.0]) == [0.5]
    assert weighted_median([(-1.0, 1.0), (-5.0, 1.0), (-2.0, 1.0)]) == -2.0
    assert weighted_median([(-1.0, 1.0), (-2.0, 1.0)]) == -1.5
    assert weighted_median([(-1.0, 0.0)]) is None
    assert weighted_median([(-1.0, 9.0), (-2.0, 1.0)]) == -1.0
