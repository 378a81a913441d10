"""News spreads, ages, and ends; whatever is told, in whatever order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Endpoint, News
from swarm.membership.news import MOST_KEPT, MOST_TOLD, OLDEST_S, NewsBoard

HERE = Endpoint("10.0.0.1", 17615)
BOB, BOOT = NodeId("bob"), BootId("boot1")

anything = st.builds(
    News,
    node=st.integers(0, 300).map(lambda place: NodeId(f"node{place}")),
    boot=st.sampled_from([BOOT, BootId("boot2")]),
    endpoint=st.just(HERE),
    kind=st.sampled_from(["joined", "lost"]),
    age_s=st.floats(-10, 100),
)


def lost(age_s: float = 0.0, boot: BootId = BOOT) -> News:
    return News(BOB, boot, HERE, "lost", age_s)


def joined(age_s: float = 0.0, boot: BootId = BOOT) -> News:
    return News(BOB, boot, HERE, "joined", age_s)


@given(st.lists(st.tuples(anything, st.floats(0, 3)), max_size=400))
def test_memory_answers_and_ages_are_bounded(heard: list[tuple[News, float]]) -> None:
    board, now = NewsBoard(), 100.0
    for item, pause_s in heard:
        board.heard(item, 0.01, now)
        now += pause_s
        told = board.tell(now)
        assert len(told) <= MOST_TOLD
        assert all(0 <= news.age_s <= OLDEST_S for news in told)
        assert len(board) <= MOST_KEPT
    board.expire(now + OLDEST_S + 0.1)
    assert len(board) == 0


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.floats(0, 0.5)), max_size=120))
def test_news_that_goes_in_circles_dies(steps: list[tuple[int, int, float]]) -> None:
    boards, now, latency_s = [NewsBoard() for _ in range(5)], 0.0, 0.02
    boards[0].found(BOB, BOOT, HERE, "lost", now)
    for teller, hearer, pause_s in steps:
        now += pause_s
        told = boards[teller].tell(now)
        now += latency_s / 2
        for item in told:
            boards[hearer].heard(item, latency_s, now)
        assert all(item.age_s >= now - 1e-6 for board in boards for item in board.tell(now))
    assert not any(board.tell(OLDEST_S + 0.01) for board in boards)


def test_a_loss_is_passed_on_at_once_and_dropped_when_the_node_answers() -> None:
    board = NewsBoard()
    assert board.heard(lost(2.0), 0.5, 10.0)
    assert board.tell(11.0) == (lost(3.5),)
    assert not board.refute(BOB, BootId("boot2"))
    assert board.tell(11.0) == (lost(3.5),)
    assert board.refute(BOB, BOOT)
    assert board.tell(11.0) == ()


def test_that_somebody_came_is_passed_on_with_its_age_once_it_is_found_true() -> None:
    board = NewsBoard()
    assert board.heard(joined(4.0), 0.0, 10.0)
    assert board.tell(10.0) == ()
    board.found(BOB, BOOT, HERE, "joined", 11.0)
    assert board.tell(11.0) == (joined(5.0),)


def test_what_is_known_is_no_news() -> None:
    board = NewsBoard()
    assert board.heard(lost(), 0.0, 10.0)
    assert not board.heard(lost(), 0.0, 12.0)
    assert not board.heard(joined(8.0), 0.0, 12.0)
    assert board.heard(joined(1.0), 0.0, 12.0)
    assert not board.heard(lost(9.0), 0.0, 12.0)


def test_old_news_is_no_news() -> None:
    board = NewsBoard()
    assert not board.heard(lost(OLDEST_S + 1), 0.0, 10.0)
    assert not board.heard(lost(OLDEST_S - 1), 2.0, 10.0)


def test_a_burst_is_told_in_turns() -> None:
    board = NewsBoard()
    for place in range(80):
        board.found(NodeId(f"node{place}"), BOOT, HERE, "lost", 0.0)
    told = {news.node for second in range(5) for news in board.tell(float(second))}
    assert len(told) == 80


def test_a_flood_of_what_nobody_confirmed_does_not_push_out_what_is_true() -> None:
    board = NewsBoard()
    board.found(BOB, BOOT, HERE, "joined", 0.0)
    for place in range(1000):
        board.heard(News(NodeId(f"fake{place}"), BOOT, HERE, "joined", 0.0), 0.0, 1.0)
    assert [news.node for news in board.tell(1.0)] == ["bob"]
