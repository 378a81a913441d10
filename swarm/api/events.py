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
        """`cut` is called where the listener is too slow. Raises `Unavailable` where too many listen."""
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
        """Ends every stream: they would keep a server that stops waiting."""
        for queue, cut in self._listeners.items():
            if queue.full():
                cut()
            else:
                queue.put_nowait(None)
        self._listeners.clear()

    def _remember(self, told: PeerEvent) -> None:
        """Changes of one node in a row count as one, so that they do not push out who came and went."""
        last = self._recent[-1] if self._recent else None
        if last is not None and last == replace(told, at=last.at):
            self._recent.pop()
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
