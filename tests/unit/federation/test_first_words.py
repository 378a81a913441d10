"""Whom to ask first, and how long to wait for a first word."""

from swarm.domain.ids import NodeId
from swarm.federation.first_words import ENOUGH, FIRST_GUESS_S, FirstWords
from swarm.federation.voters import Voter
from tests.unit.federation.nodes import ask, node_status, peer_info

A, B = NodeId("a"), NodeId("b")


def voter(name: str) -> Voter:
    return Voter(node_status(name), peer_info(name), ask())


def test_the_delay_is_what_nine_of_ten_first_words_took() -> None:
    words = FirstWords()
    assert words.hedge_after_s(A) == FIRST_GUESS_S
    for tenth in range(1, 11):
        words.began(A, tenth / 10)
    assert words.hedge_after_s(A) == 0.9
    for _ in range(100):
        words.began(A, 60.0)
    assert words.hedge_after_s(A) == 5.0


def test_a_late_node_that_was_stopped_counts_as_late() -> None:
    words = FirstWords()
    for _ in range(ENOUGH):
        words.began(A, 0.2)
    words.was_silent(A, 0.1)
    assert words.hedge_after_s(A) == 0.2
    for _ in range(3):
        words.was_silent(A, 1.5)
    assert words.hedge_after_s(A) == 1.5


def test_the_quick_and_reliable_go_first() -> None:
    words = FirstWords()
    words.began(A, 0.5)
    words.began(B, 0.4)
    assert [voter.node for voter in words.ordered([voter("a"), voter("b")])] == ["b", "a"]
    words.failed(B)
    words.failed(B)
    assert [voter.node for voter in words.ordered([voter("a"), voter("b")])] == ["a", "b"]


def test_extra_calls_stay_a_small_share() -> None:
    words, extra = FirstWords(), 0
    for _ in range(1000):
        words.count_request()
        if words.may_hedge:
            words.count_extra_call()
            extra += 1
    assert 145 <= extra <= 155
