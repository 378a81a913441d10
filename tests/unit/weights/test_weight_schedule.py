"""Every piece is asked for, and again where it does not come."""

from hypothesis import given
from hypothesis import strategies as st

from swarm.domain.ids import NodeId
from swarm.weights.schedule import OVERTAKE_S, Piece, Schedule

A, B = NodeId("a"), NodeId("b")
PIECES = [Piece("f", index) for index in range(4)]


def everything(_piece: Piece) -> bool:
    return True


def test_two_sources_are_never_asked_for_the_same_piece_while_there_are_others() -> None:
    schedule = Schedule(PIECES)
    taken = [schedule.take(source, everything, 0.0) for source in (A, B, A, B)]
    assert sorted(piece.index for piece in taken if piece) == [0, 1, 2, 3]
    assert schedule.take(A, everything, 0.0) is None


def test_nodes_begin_at_different_places() -> None:
    assert Schedule(PIECES, 6).take(A, everything, 0.0) == PIECES[2]


def test_only_what_the_source_has_is_asked_of_it() -> None:
    schedule = Schedule(PIECES)
    assert schedule.take(A, lambda piece: piece.index == 3, 0.0) == PIECES[3]
    assert schedule.take(A, lambda piece: piece.index == 3, 0.0) is None


def test_a_piece_that_is_late_is_asked_of_one_more_source() -> None:
    schedule = Schedule(PIECES[:1])
    assert schedule.take(A, everything, 0.0) == PIECES[0]
    assert schedule.take(B, everything, OVERTAKE_S) is None
    assert schedule.take(A, everything, OVERTAKE_S + 1) is None
    assert schedule.take(B, everything, OVERTAKE_S + 1) == PIECES[0]
    assert schedule.take(NodeId("c"), everything, 99.0) is None
    assert schedule.done(PIECES[0])
    assert schedule.is_done
    assert not schedule.done(PIECES[0])
    schedule.give_back(PIECES[0], A)
    assert schedule.is_done


def test_a_piece_that_did_not_come_is_the_next_to_be_asked_for() -> None:
    schedule = Schedule(PIECES)
    assert schedule.take(A, everything, 0.0) == PIECES[0]
    schedule.give_back(PIECES[0], A)
    assert schedule.take(B, everything, 0.0) == PIECES[0]


@given(st.integers(1, 30), st.integers(0, 100), st.lists(st.tuples(st.sampled_from("abc"), st.booleans())))
def test_whatever_fails_all_pieces_come_in_the_end(count: int, first: int, turns: list[tuple[str, bool]]) -> None:
    schedule = Schedule([Piece("f", index) for index in range(count)], first)
    came = set()
    now = 0.0
    for source, works in [*turns, *[("z", True)] * count]:
        now += 1
        piece = schedule.take(NodeId(source), everything, now)
        if piece and works:
            assert schedule.done(piece)
            came.add(piece.index)
        elif piece:
            schedule.give_back(piece, NodeId(source))
    assert schedule.is_done
    assert came == set(range(count))
