"""The waiting around `PeerTable`: sends its probes, brings it the answers, and passes its events on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from swarm.domain.errors import PeerError
from swarm.domain.events import MembershipEvent
from swarm.domain.ids import NodeId
from swarm.domain.nodes import Advert, Endpoint, NodeStatus, PeerInfo
from swarm.membership.log import MembershipLog
from swarm.membership.settings import MembershipSettings
from swarm.membership.table import PeerTable, Probe
from swarm.ports.clock import Clock
from swarm.ports.peer_link import PeerLink, PeerRefused

TICK_S = 0.1
"""Ten looks a second; a hint waits no longer than this for its probe."""
MOST_PROBES = 64
"""In flight at the same time."""


class Membership:
    """`own_endpoints` are where this node itself listens: they are never probed."""

    def __init__(
        self,
        status: Callable[[], NodeStatus],
        link: PeerLink,
        clock: Clock,
        settings: MembershipSettings,
        own_endpoints: Iterable[Endpoint] = (),
    ) -> None:
        self._status, self._link, self._clock = status, link, clock
        self._own_endpoints = frozenset(own_endpoints)
        self._table = PeerTable(status().node, settings)
        self._subscribers: list[Callable[[MembershipEvent], None]] = []
        self._probing = 0
        self._log = MembershipLog()

    def heard_of(self, advert: Advert) -> None:
        self._table.heard_of(advert, self._clock.now())

    def add_static(self, endpoints: Iterable[Endpoint]) -> None:
        others = [endpoint for endpoint in endpoints if endpoint not in self._own_endpoints]
        self._log.expect(others)
        self._table.add_static(others, self._clock.now())

    def said_goodbye(self, node: NodeId) -> None:
        """A hint, from whatever source: the peer is probed now, and only a refusal is believed."""
        self._table.said_goodbye(node, self._clock.now())

    def peers(self) -> tuple[PeerInfo, ...]:
        """Peers, and nodes that cannot be used with the `problem` why; only those that are `alive` get work."""
        return self._table.peers(self._clock.now())

    def subscribe(self, callback: Callable[[MembershipEvent], None]) -> None:
        """It is called at once, in the order of the events, and must neither wait nor raise."""
        self._subscribers.append(callback)

    async def run(self) -> None:
        """Never returns; a cancel ends every probe."""
        async with asyncio.TaskGroup() as probes:
            while True:
                now = self._clock.now()
                self._publish(self._table.expire(now))
                for probe in self._table.due(now, MOST_PROBES - self._probing):
                    self._probing += 1
                    probes.create_task(self._send(probe), name=f"probe {probe.endpoint}")
                await self._clock.sleep(TICK_S)

    async def say_goodbye(self) -> None:
        """Tells every peer that this node stops; never raises. The link bounds how long it takes."""
        status = self._status()
        async with asyncio.TaskGroup() as goodbyes:
            for peer in self.peers():
                if peer.status is not None:
                    goodbyes.create_task(self._link.goodbye(peer.endpoint, status), name=f"goodbye {peer.endpoint}")

    async def _send(self, probe: Probe) -> None:
        try:
            status = await self._link.probe(probe.endpoint, probe.timeout_s)
        except PeerError as error:
            self._log.failure(probe.endpoint, error)
            self._publish(self._table.failed(probe, isinstance(error, PeerRefused), self._clock.now()))
        else:
            now = self._clock.now()
            self._log.answer(probe.endpoint, status)
            self._publish(self._table.answered(probe, status, now - probe.started_at, now))
        finally:
            self._probing -= 1

    def _publish(self, events: Iterable[MembershipEvent]) -> None:
        for event in events:
            self._log.event(event)
            for subscriber in self._subscribers:
                subscriber(event)
