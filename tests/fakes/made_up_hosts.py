"""A table of peers and its time, with probes that end as the test says."""

from __future__ import annotations

from collections.abc import Iterable

from swarm.domain.events import MembershipEvent
from swarm.domain.nodes import Endpoint, NodeStatus
from swarm.membership.table import PeerTable, Probe


class MadeUpHosts:
    """`run` looks ten times a second, as the shell does."""

    def __init__(self, table: PeerTable) -> None:
        self.table, self.now = table, 100.0
        self.hosts: dict[Endpoint, NodeStatus | str] = {}
        """What answers there; one that is not here refuses, and a text is silence."""
        self.events: list[MembershipEvent] = []
        self.probes: list[Probe] = []
        self._waiting: list[Probe] = []

    def run(self, seconds: float) -> list[MembershipEvent]:
        """The events of that time."""
        first = len(self.events)
        for _ in range(round(seconds * 10)):
            self._step()
            self.now += 0.1
        return self.events[first:]

    def _step(self) -> None:
        self._add(self.table.expire(self.now))
        started = self.table.due(self.now, 64)
        self.probes.extend(started)
        self._waiting.extend(started)
        for probe in tuple(self._waiting):
            self._end(probe)

    def _end(self, probe: Probe) -> None:
        host = self.hosts.get(probe.endpoint, "refused")
        if isinstance(host, NodeStatus):
            self._add(self.table.answered(probe, host, 0.01, self.now))
        elif host == "refused" or self.now - probe.started_at >= probe.timeout_s - 1e-9:
            self._add(self.table.failed(probe, host == "refused", self.now))
        else:
            return
        self._waiting.remove(probe)

    def _add(self, events: Iterable[MembershipEvent]) -> None:
        self.events.extend(events)
