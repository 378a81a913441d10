"""Routes are the fastest way through all blocks; what nobody serves is named."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.domain.coverage import coverage_of
from swarm.domain.nodes import BlockSpan
from swarm.worker.chain.routing import Hop, Offer, choose_route, expected_s
from swarm.worker.placement import DEFAULT_BLOCK_S

ALL = BlockSpan(0, 6)


def test_fewer_hops_are_faster() -> None:
    offers = [Offer("a", BlockSpan(0, 3)), Offer("b", BlockSpan(3, 6)), Offer("c", ALL)]
    assert choose_route(offers, ALL) == (Hop(offers[2], ALL),)


@given(st.floats(1e-5, 1.0), st.integers(2, 60))
def test_blocks_of_one_node_are_one_hop_however_their_times_add_up(block_s: float, blocks: int) -> None:
    here = Offer(None, BlockSpan(0, blocks), block_s=block_s)
    assert choose_route([here], here.span) == (Hop(here, here.span),)


def test_own_blocks_save_the_network() -> None:
    offers = [Offer(None, BlockSpan(3, 6)), Offer("a", BlockSpan(0, 4)), Offer("b", BlockSpan(4, 6))]
    assert choose_route(offers, ALL) == (Hop(offers[1], BlockSpan(0, 3)), Hop(offers[0], BlockSpan(3, 6)))


def test_a_node_that_makes_it_slower_is_left_out() -> None:
    here, quick = Offer(None, ALL, block_s=0.01), Offer("quick", ALL, block_s=0.001, hop_s=0.02)
    assert choose_route([here, quick], ALL) == (Hop(quick, ALL),)
    far = replace(quick, hop_s=0.2)
    assert choose_route([here, far], ALL) == (Hop(here, ALL),)


def test_the_second_sequence_takes_the_other_route_unless_that_is_far_slower() -> None:
    busy, idle = Offer("a", ALL, block_s=0.01, load=1), Offer("b", ALL, block_s=0.011)
    assert choose_route([busy, idle], ALL) == (Hop(idle, ALL),)
    slow = replace(idle, block_s=0.02)
    assert choose_route([busy, slow], ALL) == (Hop(busy, ALL),)


def test_a_server_that_says_nothing_of_its_speed_is_taken_for_one_that_the_planner_expects() -> None:
    assert Offer("a", ALL).sound_block_s == DEFAULT_BLOCK_S


def test_there_is_no_route_over_a_gap() -> None:
    offers = [Offer("a", BlockSpan(0, 2)), Offer("b", BlockSpan(3, 6))]
    assert choose_route(offers, ALL) is None
    assert coverage_of((offer.span for offer in offers), 6).missing == (BlockSpan(2, 3),)


spans = st.tuples(st.integers(0, 7), st.integers(1, 8)).map(lambda pair: BlockSpan(pair[0], pair[0] + pair[1]))


timed_offers = st.builds(
    Offer,
    st.sampled_from(["a", "b", "c", "d", None]),
    spans.filter(lambda span: span.start < 5).map(lambda span: BlockSpan(span.start, min(span.end, 5))),
    block_s=st.none() | st.floats(1e-4, 1.0),
    hop_s=st.none() | st.floats(0.0, 1.0),
    load=st.integers(0, 3),
)


@given(st.lists(timed_offers, max_size=4))
def test_no_other_way_through_the_blocks_is_faster(offers: list[Offer]) -> None:
    route = choose_route(offers, BlockSpan(0, 5))
    every = [_seconds(way) for way in _every_way(offers, 0, 5)]
    assert (route is None) == (not every)
    if route is not None:
        assert _seconds(route) == pytest.approx(min(every))


def _every_way(offers: list[Offer], start: int, end: int) -> Iterator[tuple[Hop, ...]]:
    if start == end:
        yield ()
    for offer in offers:
        for stop in range(start + 1, min(offer.span.end, end) + 1):
            if offer.span.start <= start:
                for rest in _every_way(offers, stop, end):
                    yield (Hop(offer, BlockSpan(start, stop)), *rest)


def _seconds(way: tuple[Hop, ...]) -> float:
    return sum(expected_s(hop.offer, len(hop.span)) for hop in way)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", "d", None]), spans), max_size=6))
def test_a_route_is_found_exactly_where_nothing_is_missing_and_covers_each_block_once(
    offered: list[tuple[str | None, BlockSpan]],
) -> None:
    offers = [Offer(server, BlockSpan(span.start, min(span.end, 8))) for server, span in offered if span.start < 8]
    route = choose_route(offers, BlockSpan(0, 8))
    assert (route is None) == bool(coverage_of((offer.span for offer in offers), 8).missing)
    for hop in route or ():
        assert any(
            offer.server == hop.server and offer.span.start <= hop.span.start and hop.span.end <= offer.span.end
            for offer in offers
        )
    assert [index for hop in route or () for index in range(hop.span.start, hop.span.end)] == (
        list(range(8)) if route else []
    )
