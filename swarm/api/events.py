"""What happened to the membership: the last events, and those who listen for the next ones."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, assert_never

from swarm.api.sse import event_bytes
from swarm.domain.errors import Unavailable
from swarm.domain.events import MembershipEvent, PeerChanged, PeerJoined, PeerLeft, PeerSuspected
from swarm.ports.clock import Clock
from swarm.wire.codec import to_plain
from swarm.wire.federation_messages import PeerEvent

MOST_RECENT = 32
MOST_LISTENERS = 64
QUEUE_LIMIT = 64
"""Events that a listener may be behind; one that is slower is cut, and learns the rest when it connects again."""

EventQueue = asyncio.Queue[bytes | None]
"""Events as they go over the wire; None is the end."""


class EventFeed:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._recent: deque[PeerEvent] = deque(maxlen=MOST_RECENT)
        self._listeners: dict[EventQueue, Callable[[], None]] = {}
        self._is_closed = False

    def recent(self) -> tuple[PeerEvent, ...]:
        """Oldest first."""
        return tuple(self._recent)

    def hear(self, event: MembershipEvent) -> None:
        told = told_of(event, self._clock.wall())
        self._remember(told)
        data = event_bytes(self._as_plain(told, event), name=told.kind)
        for queue, cut in tuple(self._listeners.items()):
            if queue.full():
                del self._listeners[queue]
                cut()
            else:
                queue.put_nowait(data)

    @contextmanager
    def listen(self, cut: Callable[[], None]) -> Iterator[EventQueue]:
        """`cut` is called where the listener is too slow. Raises `Unavailable` where too many listen, or after the end.

        Pages connect again by themselves, over connections that stay open while a server drains."""
        if self._is_closed:
            raise Unavailable("This node is stopping; there are no further events.")
        if len(self._listeners) >= MOST_LISTENERS:
            message = f"{MOST_LISTENERS} listeners take events already; ask /v1/federation/peers now and then instead."
            raise Unavailable(message, retry_after_s=30.0, busy=True)
        queue: EventQueue = asyncio.Queue(QUEUE_LIMIT)
        self._listeners[queue] = cut
        try:
            yield queue
        finally:
            self._listeners.pop(queue, None)

    def close(self) -> None:
        """Ends every stream, for good: they would keep a server that stops waiting."""
        self._is_closed = True
        for queue, cut in self._listeners.items():
            if queue.full():
                cut()
            else:
                queue.put_nowait(None)
        self._listeners.clear()

    def _remember(self, told: PeerEvent) -> None:
        """Of the changes of one node only the last, so that they do not push out who came and went."""
        if told.kind == "changed":
            old = [event for event in self._recent if (event.kind, event.node) == ("changed", told.node)]
            for event in old:
                self._recent.remove(event)
        self._recent.append(told)

    @staticmethod
    def _as_plain(told: PeerEvent, event: MembershipEvent) -> dict[str, Any]:
        return {**to_plain(told), "peer": to_plain(event.peer)}


def told_of(event: MembershipEvent, at: float) -> PeerEvent:
    peer = event.peer
    told = PeerEvent("changed", peer.node, peer.status.name if peer.status else "", at)
    match event:
        case PeerJoined():
            return replace(told, kind="joined")
        case PeerChanged():
            return told
        case PeerSuspected():
            return replace(told, kind="suspect", reason=peer.problem or "")
        case PeerLeft():
            return replace(told, kind="left", reason=event.reason)
        case _:
            assert_never(event)
