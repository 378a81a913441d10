"""Addresses at which a node may be: heard of, configured, or where one was that is gone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from swarm.domain.ids import NodeId
from swarm.domain.nodes import Endpoint
from swarm.membership.settings import MembershipSettings

RETRY_MAX_S = 30.0
"""The pause between probes of an address that does not answer doubles from 1 s to this."""
HINT_PAUSE_S = 1.0
"""However often an address is announced, it is probed no more often than this."""
MOST_REMEMBERED = 256
"""Addresses of peers that are gone; the one to be forgotten first gives way to a new one."""
MOST_GREETINGS = 8
"""Addresses of one machine that it vouches for by calling us; a thousand ports of it are no better than adverts."""
KEPT_FREE = 8
"""Probes in flight that addresses from announcements leave to the others."""
MOST_LEARNED = 1024
"""Addresses out of members' lists that wait for a place."""


@dataclass(slots=True)
class Candidate:
    endpoint: Endpoint
    node: NodeId | None
    """Who is said, or was once found, to be there."""
    next_at: float
    forget_at: float
    """Infinite for one that the operator named."""
    answered_once: bool = False
    """Or it called us. A flood of announcements does not push it out."""
    failures: int = 0
    refused: bool = False
    probed_at: float = -math.inf

    @property
    def is_static(self) -> bool:
        return self.forget_at == math.inf

    @property
    def is_vouched(self) -> bool:
        """By more than an announcement: the operator named it, it was a peer, or it called us."""
        return self.answered_once or self.is_static


class Candidates:
    """At most one per address; those that the operator did not name are capped."""

    def __init__(self, settings: MembershipSettings) -> None:
        self._settings = settings
        self._by_endpoint: dict[Endpoint, Candidate] = {}
        self._learned: dict[Endpoint, NodeId] = {}

    def __iter__(self) -> Iterator[Candidate]:
        return iter(tuple(self._by_endpoint.values()))

    def __len__(self) -> int:
        return len(self._by_endpoint)

    def add_static(self, endpoint: Endpoint, now: float) -> None:
        self._by_endpoint[endpoint] = Candidate(endpoint, None, now, math.inf)

    def hear_of(self, endpoint: Endpoint, node: NodeId, now: float) -> None:
        """An announcement: probe soon. Ignored while all places are taken by ones not yet tried."""
        known = self._by_endpoint.get(endpoint)
        forget_at = now + self._settings.forget_after_s
        if known is not None:
            known.node = known.node or node
            known.forget_at = max(known.forget_at, forget_at)
            known.next_at = min(known.next_at, max(now, known.probed_at + HINT_PAUSE_S))
        elif self._has_room():
            self._by_endpoint[endpoint] = Candidate(endpoint, node, now, forget_at)

    def learn(self, endpoint: Endpoint, node: NodeId, now: float) -> None:
        """From a member's list, which may be longer than there are places: probed as they become free."""
        if endpoint in self._by_endpoint:
            self.hear_of(endpoint, node, now)
        elif len(self._learned) < MOST_LEARNED:
            self._learned[endpoint] = node

    def recall(self, endpoint: Endpoint, node: NodeId, now: float) -> None:
        """A peer of an earlier run."""
        if endpoint not in self._by_endpoint:
            self._make_room_to_remember()
            forget_at = now + self._settings.forget_after_s
            self._by_endpoint[endpoint] = Candidate(endpoint, node, now, forget_at, answered_once=True)

    def greeted(self, endpoint: Endpoint, node: NodeId, now: float) -> None:
        """It called us from there. No more than a few of one machine push out peers that are gone, or go first."""
        same = [item for item in self._by_endpoint.values() if item.endpoint.host == endpoint.host]
        if sum(item.answered_once for item in same) < MOST_GREETINGS:
            self.recall(endpoint, node, now)

    def remember(self, endpoint: Endpoint, node: NodeId, now: float) -> None:
        """A peer that is gone from there; it is looked for at all its addresses, with the pauses starting anew."""
        self.recall(endpoint, node, now)
        for candidate in self._by_endpoint.values():
            if candidate.node == node:
                candidate.failures, candidate.probed_at, candidate.next_at = 0, now, now + _pause_s(1)

    def hurry(self, node: NodeId, now: float) -> None:
        for candidate in self._by_endpoint.values():
            if candidate.node == node:
                candidate.next_at = now

    def start_due(self, now: float, room: int, is_idle: Callable[[Candidate], bool]) -> list[Candidate]:
        """At most `room` to probe now, the longest overdue first; without those that are idle.

        Announced ones leave some room free, so that a flood of them does not keep us from those who came in person."""
        due = [item for item in self._by_endpoint.values() if now >= item.next_at and not is_idle(item)]
        due.sort(key=lambda candidate: (not candidate.is_vouched, candidate.next_at))
        vouched = sum(candidate.is_vouched for candidate in due)
        chosen = due[: min(room, max(vouched, room - KEPT_FREE))]
        for candidate in chosen:
            candidate.probed_at = now
        return chosen

    def place_learned(self, now: float, is_known: Callable[[NodeId], bool]) -> None:
        while self._learned:
            endpoint, node = next(iter(self._learned.items()))
            if not is_known(node):
                if not self._has_room():
                    return
                self.hear_of(endpoint, node, now)
            del self._learned[endpoint]

    def answered(self, endpoint: Endpoint, node: NodeId, now: float) -> None:
        """Done with it, unless it was configured: then it stays for the day when `node` is gone."""
        candidate = self._by_endpoint.get(endpoint)
        if candidate is None:
            return
        if candidate.is_static:
            candidate.node, candidate.failures, candidate.next_at = node, 0, now + RETRY_MAX_S
        else:
            del self._by_endpoint[endpoint]

    def failed(self, endpoint: Endpoint, started_at: float, refused: bool, now: float) -> None:
        """Probes older than the candidate's last start count for nothing: they were sent to what was there before."""
        candidate = self._by_endpoint.get(endpoint)
        if candidate is not None and started_at >= candidate.probed_at:
            candidate.failures += 1
            candidate.refused, candidate.next_at = refused, now + _pause_s(candidate.failures)

    def expire(self, now: float) -> None:
        for candidate in self:
            if now >= candidate.forget_at:
                del self._by_endpoint[candidate.endpoint]

    def _has_room(self) -> bool:
        """Makes room by dropping the unmet one that failed most often."""
        unmet = [item for item in self._by_endpoint.values() if not item.is_static and not item.answered_once]
        if len(unmet) < self._settings.candidates:
            return True
        worst = max(unmet, key=lambda item: item.failures, default=None)
        if worst is None or not worst.failures:
            return False
        del self._by_endpoint[worst.endpoint]
        return True

    def _make_room_to_remember(self) -> None:
        remembered = [item for item in self._by_endpoint.values() if item.answered_once and not item.is_static]
        if len(remembered) >= MOST_REMEMBERED:
            del self._by_endpoint[min(remembered, key=lambda item: item.forget_at).endpoint]


def _pause_s(failures: int) -> float:
    return min(RETRY_MAX_S, 2.0 ** min(failures - 1, 10))
