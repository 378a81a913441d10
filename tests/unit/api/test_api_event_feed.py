"""The feed of events by itself: what is remembered, and its end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from swarm.api.events import MOST_RECENT, EventFeed
from swarm.domain.errors import Unavailable
from swarm.domain.events import PeerChanged, PeerJoined
from swarm.host.clock import SystemClock
from tests.fakes.api_node import peer


def test_a_node_that_renames_itself_all_the_time_pushes_nobody_out() -> None:
    feed, restless = EventFeed(SystemClock()), peer("pc", "b" * 32)
    assert restless.status is not None
    feed.hear(PeerJoined(peer("attic", "a" * 32)))
    for number in range(2 * MOST_RECENT):
        feed.hear(PeerChanged(replace(restless, status=replace(restless.status, name=f"pc{number}"))))
    assert [event.name for event in feed.recent()] == ["attic", f"pc{2 * MOST_RECENT - 1}"]


def test_nobody_begins_to_listen_while_the_server_stops() -> None:
    feed = EventFeed(SystemClock())
    feed.close()
    with pytest.raises(Unavailable, match="stopping"), feed.listen(print):
        pass
