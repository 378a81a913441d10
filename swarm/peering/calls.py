"""Requests under way, by peer, so that those to a peer that is gone end at once instead of by their own limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from swarm.domain.errors import PeerError
from swarm.domain.ids import NodeId
from swarm.domain.nodes import PeerInfo


class Call:
    """One request. What it waits for goes inside `waiting`; between two waits nothing is interrupted."""

    def __init__(self, peer: PeerInfo) -> None:
        self._peer = peer
        self._is_aborted = False
        self._wait: asyncio.Timeout | None = None

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """Raises `PeerError` as soon as the call is aborted."""
        try:
            async with asyncio.timeout(0 if self._is_aborted else None) as self._wait:
                yield
        except TimeoutError:
            if self._is_aborted:
                raise PeerError(f"{self._peer.endpoint} is gone; its answer is given up.") from None
            raise
        finally:
            self._wait = None

    def abort(self) -> None:
        """The second time it does nothing: a timeout that has run out cannot be moved."""
        if self._is_aborted:
            return
        self._is_aborted = True
        if self._wait is not None:
            self._wait.reschedule(0)


class Calls:
    def __init__(self) -> None:
        self._open: dict[NodeId, set[Call]] = {}

    @contextmanager
    def to(self, peer: PeerInfo) -> Iterator[Call]:
        call = Call(peer)
        self._open.setdefault(peer.node, set()).add(call)
        try:
            yield call
        finally:
            self._open[peer.node].discard(call)
            if not self._open[peer.node]:
                del self._open[peer.node]

    def abort(self, node: NodeId) -> None:
        for call in tuple(self._open.get(node, ())):
            call.abort()
