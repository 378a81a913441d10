"""A node moves to other blocks only when it helps for a while, in turn, and then rests."""

from dataclasses import replace

from swarm.domain.nodes import BlockSpan
from swarm.worker.moving import JITTER_S, MISSING_GRACE_S, SINGLE_GRACE_S, TURN_S, MoveWatch
from swarm.worker.placement import Place


def node(server: str, start: int, end: int, **more: object) -> Place:
    return Place(server, BlockSpan(start, end), 3, movable=True, **more)  # type: ignore[arg-type]


LOST = [node("a", 0, 3), node("b", 0, 3)]
"""Nobody serves 3:6 any more; `a` comes first."""


def first_move(
    watch: MoveWatch, places: list[Place], until: float, start: float = 0.0
) -> tuple[float, BlockSpan] | None:
    now = start
    while now < until:
        if span := watch.decide(6, places, now):
            return now, span
        now += 0.5
    return None


def test_blocks_that_are_missing_for_a_while_are_taken_over() -> None:
    moved = first_move(MoveWatch("a"), LOST, 60)
    assert moved is not None
    assert moved[1] == BlockSpan(3, 6)
    assert MISSING_GRACE_S <= moved[0] <= MISSING_GRACE_S + JITTER_S + 0.5


def test_the_next_node_waits_for_its_turn() -> None:
    moved = first_move(MoveWatch("b"), LOST, 60)
    assert moved is not None
    assert moved[0] >= MISSING_GRACE_S + TURN_S


def test_who_sees_that_another_moves_stays() -> None:
    watch = MoveWatch("b")
    assert first_move(watch, LOST, 6) is None
    assert first_move(watch, [replace(LOST[0], span=BlockSpan(3, 6), movable=False), LOST[1]], 100, start=6) is None


def test_what_comes_back_in_time_moves_nobody() -> None:
    watch = MoveWatch("a")
    assert first_move(watch, LOST, MISSING_GRACE_S) is None
    assert first_move(watch, [*LOST, node("c", 3, 6), node("d", 3, 6)], 200, start=MISSING_GRACE_S) is None


def test_a_second_node_for_blocks_is_less_urgent_than_a_first() -> None:
    places = [node("a", 0, 3), node("b", 0, 3), node("d", 0, 3), node("e", 3, 6)]
    moved = first_move(MoveWatch("a"), places, 60)
    assert moved is not None
    assert moved[1] == BlockSpan(3, 6)
    assert moved[0] >= SINGLE_GRACE_S


def test_a_node_that_moved_rests_before_it_moves_for_less() -> None:
    watch = MoveWatch("a")
    moved = first_move(watch, LOST, 60)
    assert moved is not None
    after = [node("a", 3, 6), node("b", 3, 6), node("d", 3, 6), node("e", 0, 3)]
    again = first_move(watch, after, moved[0] + 300, start=moved[0])
    assert again is not None
    assert again[0] - moved[0] >= 30


def test_a_node_with_pinned_blocks_stays() -> None:
    assert first_move(MoveWatch("a"), [replace(place, movable=False) for place in LOST], 100) is None
