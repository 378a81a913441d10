"""A server that was wrong is avoided until it has been right often enough, or for half an hour."""

from swarm.domain.events import PeerCheck
from swarm.domain.ids import NodeId
from swarm.domain.nodes import BlockSpan, CheckRecord
from swarm.membership.checked_peers import FORGIVEN_S, FORGOTTEN_S, CheckedPeers


def check(agrees: bool, server: str = "a") -> PeerCheck:
    return PeerCheck(NodeId("n"), server, BlockSpan(0, 1), agrees, 0.0 if agrees else 1.5)


def test_one_that_is_right_is_counted_and_used() -> None:
    peers = CheckedPeers()
    assert peers.record("a", 0) is None
    peers.hear(check(True), 10)
    assert peers.avoided(11) == ()
    assert peers.record("a", 13) == CheckRecord(1, 0, False, 0.0, 3)


def test_one_that_was_wrong_comes_back_after_right_answers() -> None:
    peers = CheckedPeers()
    peers.hear(check(False), 0)
    assert peers.record("a", 0) == CheckRecord(0, 1, True, 1.5, 0)
    peers.hear(check(True), 1)
    assert peers.avoided(1) == ("a",)
    peers.hear(check(True), 2)
    assert peers.avoided(2) == ()


def test_one_that_is_wrong_again_owes_more_but_not_without_end() -> None:
    peers = CheckedPeers()
    for _ in range(20):
        peers.hear(check(False), 0)
    for _ in range(5):
        peers.hear(check(True), 1)
    assert peers.avoided(1) == ("a",)
    peers.hear(check(True), 1)
    assert peers.avoided(1) == ()


def test_what_cannot_be_checked_any_more_gets_another_chance_and_is_forgotten() -> None:
    peers = CheckedPeers()
    peers.hear(check(False), 0)
    assert peers.avoided(FORGIVEN_S - 1) == ("a",)
    assert peers.avoided(FORGIVEN_S) == ()
    peers.hear(check(True, "b"), FORGOTTEN_S)
    assert peers.record("a", FORGOTTEN_S) is None


def test_those_that_were_not_checked_for_longest_come_first() -> None:
    peers = CheckedPeers()
    peers.hear(check(False, "b"), 0)
    peers.hear(check(False, "a"), 1)
    peers.hear(check(True, "b"), 2)
    assert peers.avoided(3) == ("a", "b")
