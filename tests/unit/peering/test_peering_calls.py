"""Requests to a peer that is gone end at once."""

from __future__ import annotations

import asyncio

import pytest

from swarm.domain.errors import PeerError
from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Endpoint, PeerInfo
from swarm.peering.calls import Call, Calls

BOB = PeerInfo(NodeId("bob"), BootId("b"), Endpoint("10.0.0.1", 17615), "alive", None, 0.0)


async def wait(call: Call, calls: Calls) -> None:
    """For an answer that never comes; the peer is lost once more while the wait ends."""
    async with call.waiting():
        try:
            await asyncio.sleep(60)
        finally:
            calls.abort(BOB.node)


async def test_a_peer_that_is_lost_twice_ends_what_waits_for_it_once() -> None:
    calls = Calls()
    asyncio.get_running_loop().call_later(0.01, calls.abort, BOB.node)
    with calls.to(BOB) as call, pytest.raises(PeerError, match="is gone"):
        await wait(call, calls)


async def test_a_call_that_was_given_up_between_two_waits_ends_at_the_next() -> None:
    calls = Calls()
    with calls.to(BOB) as call:
        calls.abort(BOB.node)
        with pytest.raises(PeerError, match="is gone"):
            await wait(call, calls)
