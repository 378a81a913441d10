"""Nodes choose blocks so that none is missing and each is served twice, and they come to rest."""

from dataclasses import replace
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.domain.nodes import BlockSpan
from swarm.worker.placement import SLOWEST_LINK_S, Place, arrange, choose_span, links_of, plan_moves


def node(server: str, capacity: int, span: tuple[int, int] | None = None, **more: object) -> Place:
    return Place(server, BlockSpan(*span) if span else None, capacity, movable=True, **more)  # type: ignore[arg-type]


def counts(layers: int, places: list[Place]) -> list[int]:
    return [
        sum(place.span is not None and place.span.start <= index < place.span.end for place in places)
        for index in range(layers)
    ]


def arranged(layers: int, places: list[Place]) -> list[Place]:
    spans = arrange(layers, [], places)
    return [replace(place, span=spans[place.server]) for place in places]


def test_what_is_missing_comes_first() -> None:
    assert choose_span(6, [], node("a", 3)) == BlockSpan(0, 3)
    assert choose_span(6, [node("a", 3, (0, 3))], node("b", 3)) == BlockSpan(3, 6)
    assert choose_span(6, [node("a", 4, (0, 4))], node("b", 3)) == BlockSpan(3, 6)


def test_then_what_one_node_alone_serves() -> None:
    others = [node("a", 6, (0, 6)), node("b", 2, (0, 2))]
    assert choose_span(6, others, node("c", 4)) == BlockSpan(2, 6)


def test_where_all_is_served_twice_the_slowest_stretch_gets_help() -> None:
    fast = [node(name, 3, (0, 3), block_s=0.001) for name in "ab"]
    slow = [node(name, 3, (3, 6), block_s=0.1) for name in "cd"]
    assert choose_span(6, [*fast, *slow], node("e", 3)) == BlockSpan(3, 6)


def test_a_slow_link_counts_like_slow_blocks() -> None:
    near = [node(name, 3, (0, 3), block_s=0.001) for name in "ab"]
    far = [node(name, 3, (3, 6), block_s=0.001, link_s=0.2) for name in "cd"]
    assert choose_span(6, [*near, *far], node("e", 3, block_s=0.001)) == BlockSpan(3, 6)


def test_a_link_is_as_slow_as_most_find_it_whoever_computes_it() -> None:
    measured = [{"b": 0.002, "c": 0.03}, {"a": 0.002, "c": 0.04}, {"a": 0.001, "b": float("inf")}]
    assert links_of(measured) == links_of(reversed(measured)) == {"a": 0.001, "b": 0.002, "c": 0.03}
    assert links_of([{"a": float("inf")}]) == {"a": SLOWEST_LINK_S}


def test_nodes_of_one_moment_share_the_model_whoever_computes_it() -> None:
    places = [node(name, 2) for name in "dacb"]
    spans = arrange(6, [], places)
    assert spans == arrange(6, [], places[::-1])
    assert min(counts(6, arranged(6, places))) == 1
    assert {str(spans[name]) for name in "abc"} == {"0:2", "2:4", "4:6"}


def test_unlike_nodes_are_arranged_so_that_each_block_is_served_twice() -> None:
    assert min(counts(6, arranged(6, [node("a", 2), node("b", 2), node("c", 4), node("d", 4)]))) == 2


def test_after_a_death_a_node_whose_blocks_others_have_takes_the_missing_ones() -> None:
    places = [node("a", 3, (0, 3)), node("b", 3, (0, 3))]
    moves = plan_moves(6, places)
    assert moves[0].server == "a"
    assert moves[0].span == BlockSpan(3, 6)
    assert moves[0].score.missing == 0


def test_spare_memory_is_used_for_what_is_missing() -> None:
    (move,) = plan_moves(6, [node("a", 6, (0, 3))])
    assert move.span == BlockSpan(0, 6)


def test_nobody_leaves_blocks_that_only_it_serves() -> None:
    assert plan_moves(6, [node("a", 3, (0, 3)), node("b", 2, (3, 5))]) == ()


def test_pinned_nodes_never_move() -> None:
    places = [replace(node(name, 3, (0, 3)), movable=False) for name in "ab"]
    assert plan_moves(6, places) == ()


def test_a_little_more_speed_is_no_reason_to_move() -> None:
    places = [node("a", 3, (0, 3)), node("b", 3, (0, 3)), node("c", 3, (3, 6)), node("d", 3, (3, 6), block_s=0.012)]
    assert plan_moves(6, places) == ()


def test_where_no_single_move_helps_all_are_arranged_anew() -> None:
    places = [node("a", 2, (1, 3)), node("b", 2, (3, 5)), node("c", 2, (3, 5))]
    for _ in range(4):
        moves = plan_moves(6, places)
        if not moves:
            break
        places = [replace(place, span=moves[0].span) if place.server == moves[0].server else place for place in places]
    assert min(counts(6, places)) == 1


capacities = st.lists(st.integers(1, 6), min_size=1, max_size=6)


@given(st.integers(1, 8), capacities)
def test_whatever_fits_together_is_whole_and_nobody_holds_more_than_fits(layers: int, sizes: list[int]) -> None:
    places = arranged(layers, [node(f"n{index}", size) for index, size in enumerate(sizes)])
    assert all(place.span is not None and len(place.span) <= place.capacity for place in places)
    assert (min(counts(layers, places)) > 0) == (sum(min(size, layers) for size in sizes) >= layers)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 5), st.lists(st.integers(1, 5), min_size=2, max_size=4))
def test_as_many_blocks_are_served_twice_as_the_best_arrangement_has_but_for_one(layers: int, sizes: list[int]) -> None:
    ways = [
        [range(start, start + min(size, layers)) for start in range(layers - min(size, layers) + 1)] for size in sizes
    ]
    best = max(
        tuple(sum(sum(index in span for span in spans) >= times for index in range(layers)) for times in (1, 2))
        for spans in product(*ways)
    )
    found = counts(layers, arranged(layers, [node(f"n{index}", size) for index, size in enumerate(sizes)]))
    assert sum(count >= 1 for count in found) == best[0]
    assert sum(count >= 2 for count in found) >= best[1] - 1


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 8),
    st.lists(
        st.tuples(st.integers(1, 6), st.integers(0, 7), st.sampled_from([0.001, 0.01, 0.1])), min_size=1, max_size=6
    ),
)
def test_moves_made_one_after_another_come_to_rest_and_uncover_nothing(
    layers: int, nodes: list[tuple[int, int, float]]
) -> None:
    places = [
        node(
            f"n{index}",
            size,
            (min(start, layers - 1), min(start + size, layers)) if start < layers else (0, 1),
            block_s=s,
        )
        for index, (size, start, s) in enumerate(nodes)
    ]
    for _ in range(40):
        moves = plan_moves(layers, places)
        if not moves:
            break
        before = counts(layers, places)
        places = [replace(place, span=moves[0].span) if place.server == moves[0].server else place for place in places]
        after = counts(layers, places)
        if min(before) > 0:
            assert min(after) > 0
    assert not plan_moves(layers, places)
    if sum(min(place.capacity, layers) for place in places) >= layers:
        assert min(counts(layers, places)) > 0
