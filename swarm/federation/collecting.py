"""Asking all voters at once, and waiting no longer than it can matter."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from swarm.domain.errors import SwarmError
from swarm.domain.federation import PeerVote
from swarm.domain.ids import NodeId
from swarm.ports.clock import Clock

CANDIDATES_PER_NODE = 8
"""More candidates of one node are dropped; they would share its one vote anyhow."""
SHORTEST_PATIENCE_S = 1.0
"""Fast answers must not shut out nodes that are a network's delay slower."""

Ask = Callable[[], Awaitable[tuple[PeerVote, ...]]]
Usable = Callable[[PeerVote], bool]
Enough = Callable[[Sequence[PeerVote], Collection[NodeId]], bool]
"""Given the votes so far and the nodes still asked: can no vote change the answer any more?"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long votes are waited for."""

    deadline_s: float
    patience: float | None
    """Multiple of the time in which most of those who did not fail have answered; None waits until the deadline."""
    local: NodeId
    """Its answer decides where just a half have answered, so that a peer's hurry cannot shut this node out."""


@dataclass(slots=True)
class Collected:
    """What came, from whom not, and why not."""

    votes: list[PeerVote] = field(default_factory=list)
    failed: dict[NodeId, SwarmError] = field(default_factory=dict)
    unanswered: dict[NodeId, str] = field(default_factory=dict)


Heard = Callable[[Collected], None]


@dataclass(frozen=True, slots=True)
class _Answered:
    node: NodeId
    outcome: tuple[PeerVote, ...] | SwarmError


@dataclass(frozen=True, slots=True)
class _TimeUp:
    reason: str


async def collect(
    asks: Mapping[NodeId, Ask],
    enough: Enough,
    waiting: Waiting,
    clock: Clock,
    usable: Usable = lambda vote: vote.error is None,
    heard: Heard = lambda _: None,
) -> Collected:
    """Returns when all have answered, when `enough` says so, or when time is up; whoever is left is cancelled.

    Patience ends only where those who answered gave a `usable` vote. `heard` is told of every answer and failure."""
    collection = _Collection(asks, enough, waiting, clock, usable)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(collection.ask(node), name=f"vote of {node}") for node in asks]
        tasks.append(group.create_task(collection.ring_at_deadline(), name="vote deadline"))
        while collection.pending:
            await collection.wait_until_next()
            heard(collection.collected)
            if collection.becomes_impatient():
                tasks.append(group.create_task(collection.ring_when_impatient(), name="vote patience"))
        for task in tasks:
            task.cancel()
    return collection.collected


class _Collection:
    """One vote while it is being collected."""

    def __init__(
        self, asks: Mapping[NodeId, Ask], enough: Enough, waiting: Waiting, clock: Clock, usable: Usable
    ) -> None:
        self._asks, self._enough, self._waiting, self._clock = asks, enough, waiting, clock
        self._usable = usable
        self._started = clock.now()
        self._events: asyncio.Queue[_Answered | _TimeUp] = asyncio.Queue()
        self._impatient = False
        self.pending = set(asks)
        self.collected = Collected()

    async def ask(self, node: NodeId) -> None:
        try:
            votes = await self._asks[node]()
        except SwarmError as error:
            self._events.put_nowait(_Answered(node, error))
        else:
            # One node, one vote: whoever it says it is.
            own = tuple(replace(vote, node=node) for vote in votes[:CANDIDATES_PER_NODE])
            self._events.put_nowait(_Answered(node, own))

    async def wait_until_next(self) -> None:
        """Takes in one event."""
        match await self._events.get():
            case _TimeUp(reason):
                self._give_up(reason)
            case _Answered(node, SwarmError() as error):
                self.pending.discard(node)
                self.collected.failed[node] = error
            case _Answered(node, tuple() as votes):
                self.pending.discard(node)
                self.collected.votes.extend(votes)
        if self.pending and self._enough(self.collected.votes, self.pending):
            self._give_up("not waited for: the answer was already decided")

    def _give_up(self, reason: str) -> None:
        self.collected.unanswered.update(dict.fromkeys(sorted(self.pending), reason))
        self.pending.clear()

    def becomes_impatient(self) -> bool:
        """True once: when most of those who did not fail have answered, or a half with this node among them.

        An answer that cannot be used is a failure here: nonsense in a hurry must not end the wait for sense."""
        if self._waiting.patience is None:
            return False
        answered = {vote.node for vote in self.collected.votes if self._usable(vote)}
        useless = self._asks.keys() - self.pending - answered
        able = len(self._asks) - len(useless)
        half_with_local = 2 * len(answered) == able and self._waiting.local in answered
        if self._impatient or not (2 * len(answered) > able or half_with_local):
            return False
        self._impatient = True
        return True

    async def ring_at_deadline(self) -> None:
        await self._clock.sleep(self._waiting.deadline_s)
        self._events.put_nowait(_TimeUp(f"no answer within {self._waiting.deadline_s:g} s"))

    async def ring_when_impatient(self) -> None:
        elapsed = self._clock.now() - self._started
        limit = max((self._waiting.patience or 0.0) * elapsed, elapsed + SHORTEST_PATIENCE_S)
        await self._clock.sleep(limit - elapsed)
        self._events.put_nowait(_TimeUp(f"not waited for: no answer in {limit:.1f} s, others needed {elapsed:.1f} s"))
