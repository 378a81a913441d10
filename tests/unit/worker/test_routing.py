"""Routes are the cheapest way through all blocks; what nobody serves is named."""

from hypothesis import given
from hypothesis import strategies as st

from swarm.domain.nodes import BlockSpan
from swarm.worker.chain.routing import Hop, Offer, choose_route, choose_span, missing_blocks

ALL = BlockSpan(0, 6)


def test_fewer_hops_are_cheaper() -> None:
    offers = [Offer("a", BlockSpan(0, 3)), Offer("b", BlockSpan(3, 6)), Offer("c", ALL)]
    assert choose_route(offers, ALL) == (Hop("c", ALL),)


def test_own_blocks_save_the_network() -> None:
    offers = [Offer(None, BlockSpan(3, 6)), Offer("a", BlockSpan(0, 4)), Offer("b", BlockSpan(4, 6))]
    assert choose_route(offers, ALL) == (Hop("a", BlockSpan(0, 3)), Hop(None, BlockSpan(3, 6)))


def test_there_is_no_route_over_a_gap() -> None:
    offers = [Offer("a", BlockSpan(0, 2)), Offer("b", BlockSpan(3, 6))]
    assert choose_route(offers, ALL) is None
    assert missing_blocks(offers, 6) == (BlockSpan(2, 3),)


def test_blocks_that_are_served_least_are_chosen() -> None:
    assert choose_span([], 6, 3) == BlockSpan(0, 3)
    assert choose_span([Offer("a", BlockSpan(0, 3))], 6, 3) == BlockSpan(3, 6)
    assert choose_span([Offer("a", ALL), Offer("b", BlockSpan(0, 2))], 6, 4) == BlockSpan(2, 6)
    assert choose_span([], 6, 99) == ALL


spans = st.tuples(st.integers(0, 7), st.integers(1, 8)).map(lambda pair: BlockSpan(pair[0], pair[0] + pair[1]))


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", "d", None]), spans), max_size=6))
def test_a_route_is_found_exactly_where_nothing_is_missing_and_covers_each_block_once(
    offered: list[tuple[str | None, BlockSpan]],
) -> None:
    offers = [Offer(server, BlockSpan(span.start, min(span.end, 8))) for server, span in offered if span.start < 8]
    route = choose_route(offers, BlockSpan(0, 8))
    assert (route is None) == bool(missing_blocks(offers, 8))
    for hop in route or ():
        assert any(
            offer.server == hop.server and offer.span.start <= hop.span.start and hop.span.end <= offer.span.end
            for offer in offers
        )
    assert [index for hop in route or () for index in range(hop.span.start, hop.span.end)] == (
        list(range(8)) if route else []
    )
