"""Known peers: what was written is read again; what nobody wrote is ignored."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.domain.events import PeerJoined
from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Endpoint, PeerInfo
from swarm.membership.known_peers import KEPT_S, MOST_KEPT, KnownPeer, from_document, still_known, to_document
from swarm.membership.memory import REFRESH_EVERY_S, WRITE_EVERY_S, PeerMemory
from tests.fakes.background import running
from tests.fakes.clock import ManualClock, settle

NOW = 1_800_000_000.0
HERE = Endpoint("10.0.0.1", 17615)


def peer(node: str, standing: Any = "alive", endpoint: Endpoint = HERE) -> PeerInfo:
    return PeerInfo(NodeId(node), BootId("boot1"), endpoint, standing, None, 0.0)


def test_what_was_written_is_read() -> None:
    known = still_known((), [peer("ann"), peer("bob", endpoint=Endpoint("fe80::1%eth0", 17616))], NOW)
    assert from_document(to_document(known), NOW + 60) == known


def test_only_those_that_were_alive_in_the_last_week_are_kept_and_no_more_than_64() -> None:
    old, recent = KnownPeer(NodeId("old"), HERE, NOW - KEPT_S - 1), KnownPeer(NodeId("recent"), HERE, NOW - KEPT_S + 9)
    peers = [peer("ann"), peer("bob", "suspect"), peer("carol", "candidate")]
    assert [known.node for known in still_known((old, recent), peers, NOW)] == ["ann", "recent"]
    many = still_known((recent,), [peer(f"node{place}") for place in range(100)], NOW)
    assert len(many) == MOST_KEPT
    assert recent not in many


def test_a_peer_that_moved_is_known_at_its_new_address() -> None:
    known = still_known((KnownPeer(NodeId("ann"), Endpoint("10.0.0.9", 1), NOW - 9),), [peer("ann")], NOW)
    assert [peer.endpoint for peer in known] == [HERE]


def test_a_clock_that_fell_back_forgets_nobody() -> None:
    known = still_known((), [peer("ann")], NOW)
    assert from_document(to_document(known), 0.0) == known


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["node", "host", "port", "seen_at", "x"]), inner),
    max_leaves=12,
)


@given(st.none() | st.dictionaries(st.sampled_from(["peers", "x"]), json_values))
def test_a_file_may_hold_anything(document: dict[str, Any] | None) -> None:
    assert all(isinstance(peer, KnownPeer) for peer in from_document(document, NOW))


@pytest.mark.parametrize(
    "row",
    [
        {"node": "a b", "host": "10.0.0.1", "port": 1, "seen_at": 1},
        {"node": "ann", "host": "nas.local", "port": 1, "seen_at": 1},
        {"node": "ann", "host": "224.0.0.1", "port": 1, "seen_at": 1},
        {"node": "ann", "host": "10.0.0.1", "port": 70000, "seen_at": 1},
        {"node": "ann", "host": "10.0.0.1", "port": 1, "seen_at": float("nan")},
        {"node": "ann", "host": "10.0.0.1", "port": 1},
    ],
)
def test_malformed_entries_are_ignored_and_the_others_kept(row: dict[str, Any]) -> None:
    good = {"node": "bob", "host": "10.0.0.1", "port": 17615, "seen_at": NOW}
    assert [peer.node for peer in from_document({"peers": [row, good]}, NOW)] == ["bob"]


class Disk:
    def __init__(self) -> None:
        self.clock, self.peers = ManualClock(), (peer("ann"),)
        self.written: list[Mapping[str, Any]] = []
        self.error: OSError | None = None
        self.memory = PeerMemory(None, lambda: self.peers, self._write, self.clock)

    def _write(self, document: Mapping[str, Any]) -> None:
        if self.error:
            raise self.error
        self.written.append(document)

    async def advance(self, seconds: float) -> None:
        """Writes are made by a thread, which takes real time."""
        await self.clock.advance(seconds)
        for _ in range(20):
            await asyncio.sleep(0.002)
            await settle()

    def running(self) -> AbstractAsyncContextManager[None]:
        return running(self.memory.run())


async def test_a_change_is_written_at_once_and_the_next_ones_together() -> None:
    disk = Disk()
    async with disk.running():
        await disk.advance(1)
        assert disk.written == []
        disk.memory.hear(PeerJoined(peer("ann")))
        await disk.advance(0.1)
        assert len(disk.written) == 1
        for _ in range(5):
            disk.memory.hear(PeerJoined(peer("ann")))
            await disk.advance(0.1)
        assert len(disk.written) == 1
        await disk.advance(WRITE_EVERY_S)
        assert len(disk.written) == 2
    assert [known.node for known in from_document(disk.written[0], 0.0)] == ["ann"]


async def test_a_peer_of_long_standing_is_seen_anew_without_any_event() -> None:
    disk = Disk()
    async with disk.running():
        await disk.advance(REFRESH_EVERY_S + 1)
        assert len(disk.written) == 1


async def test_a_full_disk_is_told_once_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    disk = Disk()
    disk.error = OSError(28, "No space left on device")
    caplog.set_level(logging.WARNING)
    async with disk.running():
        for _ in range(3):
            disk.memory.hear(PeerJoined(peer("ann")))
            await disk.advance(WRITE_EVERY_S + 1)
        assert len(caplog.records) == 1
        disk.error = None
        disk.memory.hear(PeerJoined(peer("ann")))
        await disk.advance(WRITE_EVERY_S + 1)
    assert len(disk.written) == 1
