"""Nodes go by the fastest clock that they have met, and never back."""

from swarm.worker.chain.clock import MOST_AHEAD_S, SwarmClock


def test_the_faster_clock_is_followed_and_the_slower_is_not() -> None:
    clock = SwarmClock(lambda: 1000.0)
    assert clock.hear(1100.0)
    assert clock.time() == 1100.0
    assert not clock.hear(1050.0)
    assert clock.time() == 1100.0


def test_what_a_ping_cannot_tell_apart_is_equal() -> None:
    clock = SwarmClock(lambda: 1000.0)
    assert not clock.hear(1000.4)
    assert clock.time() == 1000.0


def test_two_that_hear_each_other_agree() -> None:
    slow, fast = SwarmClock(lambda: 0.0), SwarmClock(lambda: 90.0)
    slow.hear(fast.time())
    fast.hear(slow.time())
    assert slow.time() == fast.time() == 90.0


def test_the_end_of_time_is_not_followed() -> None:
    clock = SwarmClock(lambda: 0.0)
    assert not clock.hear(MOST_AHEAD_S + 1)
    assert not clock.hear(float("inf"))
    assert not clock.hear(float("nan"))
