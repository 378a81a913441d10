"""The waiting around `PeerTable`: sends its probes, brings it the answers, and passes its events on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from swarm.domain.errors import PeerError
from swarm.domain.events import MembershipEvent, PeerJoined
from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Advert, Endpoint, News, NodeStatus, PeerInfo
from swarm.membership.log import MembershipLog
from swarm.membership.settings import MembershipSettings
from swarm.membership.table import PeerTable, Probe
from swarm.ports.clock import Clock
from swarm.ports.peer_link import PeerLink, PeerRefused

TICK_S = 0.1
"""Ten looks a second; a hint waits no longer than this for its probe."""
MOST_PROBES = 64
"""In flight at the same time."""


ASK_TIMEOUT_S = 5.0
"""For a member's list of peers, which takes a while to make and to read where they are a thousand."""
MOST_GOODBYES = 64
"""The watchers among them tell the others."""


class Membership:
    """`listening` is where this node itself is met, now: it is told to others, and never probed."""

    def __init__(
        self,
        status: Callable[[], NodeStatus],
        link: PeerLink,
        clock: Clock,
        settings: MembershipSettings,
        listening: Callable[[], tuple[Endpoint, ...]] = tuple,
    ) -> None:
        self._status, self._link, self._clock = status, link, clock
        self._listening = listening
        self._table = PeerTable(status().node, settings, listening)
        self._subscribers: list[Callable[[MembershipEvent], None]] = []
        self._probing = 0
        self._log = MembershipLog()

    def heard_of(self, advert: Advert) -> None:
        self._table.hints.announced(advert, self._clock.now())

    def add_static(self, endpoints: Iterable[Endpoint]) -> None:
        others = [endpoint for endpoint in endpoints if endpoint not in self._listening()]
        self._log.expect(others)
        self._table.hints.configured(others, self._clock.now())

    def recall(self, peers: Iterable[tuple[NodeId, Endpoint]]) -> None:
        """Peers of an earlier run: they are probed once more."""
        self._table.hints.recalled(peers, self._clock.now())

    def said_hello(self, node: NodeId, boot: BootId, endpoint: Endpoint) -> None:
        """A hint: `endpoint` is where the greeting came from, with the port that it names."""
        self._table.hints.greeted(node, boot, endpoint, self._clock.now())

    def said_goodbye(self, node: NodeId) -> None:
        """A hint, from whatever source: the peer is probed now, and only a refusal is believed."""
        self._table.hints.said_goodbye(node, self._clock.now())

    def news(self) -> tuple[News, ...]:
        """Who came and went in the last half minute: to be told to everybody who asks how this node is."""
        return self._table.news(self._clock.now())

    def peers(self) -> tuple[PeerInfo, ...]:
        """Peers, and nodes that cannot be used with the `problem` why; only those that are `alive` get work."""
        return self._table.peers(self._clock.now())

    def subscribe(self, callback: Callable[[MembershipEvent], None]) -> None:
        """It is called at once, in the order of the events, and must neither wait nor raise.

        A `PeerSuspected` comes at the end of the first probe without an answer: at once where it is refused, else
        after `probe_timeout_s`; that probe starts within `probe_every_s` and a tick of the peer's death. For a peer
        that is not watched, beyond 32 of them, it starts with the news of it.
        """
        self._subscribers.append(callback)

    async def run(self) -> None:
        """Never returns; a cancel ends every probe and question."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                now = self._clock.now()
                self._publish(self._table.expire(now))
                for probe in self._table.due(now, MOST_PROBES - self._probing):
                    self._probing += 1
                    tasks.create_task(self._send(probe), name=f"probe {probe.endpoint}")
                if (member := self._table.asking.due(now)) is not None:
                    tasks.create_task(self._ask(member), name=f"ask {member} for its peers")
                await self._clock.sleep(TICK_S)

    async def say_goodbye(self) -> None:
        """Tells the peers, in a large swarm some of them, that this node stops; never raises. The link bounds how
        long it takes."""
        status = self._status()
        async with asyncio.TaskGroup() as goodbyes:
            for endpoint in self._table.watchers(MOST_GOODBYES):
                goodbyes.create_task(self._link.goodbye(endpoint, status), name=f"goodbye {endpoint}")

    async def _ask(self, member: Endpoint) -> None:
        try:
            rows = await self._link.peers_of(member, ASK_TIMEOUT_S)
        except PeerError:
            self._table.asking.failed(self._clock.now())
        else:
            self._table.hints.learned(rows, self._clock.now())

    async def _send(self, probe: Probe) -> None:
        try:
            status = await self._link.probe(probe.endpoint, probe.timeout_s)
        except PeerError as error:
            self._log.failure(probe.endpoint, error)
            self._publish(self._table.failed(probe, isinstance(error, PeerRefused), self._clock.now()))
        else:
            now = self._clock.now()
            self._log.answer(probe.endpoint, status)
            events = self._table.answered(probe, status, now - probe.started_at, now)
            self._publish(events)
            if any(isinstance(event, PeerJoined) for event in events):
                for own in self._listening()[:1]:
                    await self._link.hello(probe.endpoint, self._status(), own.port)
        finally:
            self._probing -= 1

    def _publish(self, events: Iterable[MembershipEvent]) -> None:
        for event in events:
            self._log.event(event)
            for subscriber in self._subscribers:
                subscriber(event)
