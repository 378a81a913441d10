"""Who is in the swarm now: observations in, events and probes out. Never waits, never asks the time.

Announcements, configured addresses and what others tell are hints where to probe. A node is a peer once it has answered
a probe for itself, with one row however many addresses it has. Up to 32 peers each is probed each second on its warm
connection; beyond, the eight next ones on the ring of ids, so that each node is watched by eight, and the others in
turn. At the first miss a peer gets no new work, and fresh connections race every quarter of a second; it is gone after
5 s of silence, or after three refusals and more than 1 s of it. A pause of this process resets all clocks: then it was
we who were silent. Those who come and those who are lost are told in every answer to a probe; whoever hears it asks.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from swarm.domain.events import MembershipEvent, PeerChanged, PeerJoined, PeerLeft, PeerSuspected
from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Endpoint, News, NodeStatus, PeerInfo
from swarm.membership.candidates import Candidate
from swarm.membership.flaps import Flaps
from swarm.membership.hearsay import Asking
from swarm.membership.hints import Hints
from swarm.membership.peer import Peer, differs
from swarm.membership.rows import Rows
from swarm.membership.schedule import Schedule
from swarm.membership.settings import MembershipSettings
from swarm.membership.strangers import clean_status, node_of

LARGEST_SWARM = 1024
"""Rows; each takes some 2 KB. A node beyond them is tried again later."""
REFUSED_SILENCE_S = 1.0
"""A server that is started again refuses for a moment and is not gone."""
PAUSE_S = 1.2
"""Between two calls of `expire`, which come ten times a second; more means that this process did not run."""
FRESH_TIMEOUTS = 2.0
"""A lost SYN is repeated after 1 s, so a fresh connection gets `probe_timeout_s` this many times."""
WARM_S = 10.0
"""An idle connection is kept a little longer than this."""

Events = tuple[MembershipEvent, ...]


@dataclass(frozen=True, slots=True)
class Probe:
    """Ask whoever is at `endpoint` for its status. Ends with `answered` or `failed`, exactly once."""

    endpoint: Endpoint
    timeout_s: float
    started_at: float


class PeerTable:
    def __init__(
        self, this: NodeId, settings: MembershipSettings, listening: Callable[[], tuple[Endpoint, ...]] = tuple
    ) -> None:
        self._this, self._settings = this, settings
        self._rows = Rows(this)
        self._schedule = Schedule(this, self._rows, settings)
        self._flaps = Flaps()
        self._in_flight: Counter[Endpoint] = Counter()
        self._ran_at = self._awake_since = -math.inf
        self.hints = Hints(this, self._rows, self._schedule, settings, listening)
        self.asking = Asking(this, self._rows)

    def peers(self, now: float) -> tuple[PeerInfo, ...]:
        """One row a node: the peers, then nodes that were announced but do not answer, with the reason."""
        rows = {peer.node: peer.info(now) for peer in self._rows}
        for candidate in self.hints.candidates:
            if candidate.node is not None and candidate.failures and not candidate.answered_once:
                rows.setdefault(candidate.node, _unreached(candidate, candidate.node))
        rows.pop(self._this, None)
        return tuple(rows.values())

    def news(self, now: float) -> tuple[News, ...]:
        """For the next one who asks how this node is."""
        return self.hints.news.tell(now)

    def watchers(self, count: int) -> tuple[Endpoint, ...]:
        """At most `count` peers, those first who are likely to watch this node."""
        return tuple(peer.endpoint for peer in self._rows.watchers(count))

    def due(self, now: float, room: int) -> tuple[Probe, ...]:
        """At most `room` probes to start now; those of peers come first."""
        peers = [self._probe_peer(peer, now) for peer in self._schedule.due(now, room, self._in_flight)]
        self.hints.candidates.place_learned(now, lambda node: self._rows.get(node) is not None)
        candidates = self.hints.candidates.start_due(now, max(0, room - len(peers)), self._is_idle)
        timeout_s = FRESH_TIMEOUTS * self._settings.probe_timeout_s
        return (*peers, *(self._probe(candidate.endpoint, timeout_s, now) for candidate in candidates))

    def answered(self, probe: Probe, status: NodeStatus, round_trip_s: float, now: float) -> Events:
        self._end(probe, now)
        told, status = status.news, clean_status(status)
        node = node_of(status)
        if node is None:
            return self._missed(probe, refused=False, now=now)
        tenant = self._rows.at(probe.endpoint)
        events: Events = ()
        if tenant is not None and tenant.node != node:
            events = self._leave(tenant, f"another node answers at {probe.endpoint}", now)
        events = (*events, *self._heard(probe, status, round_trip_s, now))
        peer = self._rows.at(probe.endpoint)
        if peer is not None and peer.is_understood:
            self.hints.told(told, round_trip_s, now)
        return events

    def failed(self, probe: Probe, refused: bool, now: float) -> Events:
        self._end(probe, now)
        return self._missed(probe, refused, now)

    def expire(self, now: float) -> Events:
        """Call it ten times a second: it is also how a pause of this process is noticed."""
        self._notice_pause(now)
        self.hints.expire(now)
        events: list[MembershipEvent] = []
        for peer in self._schedule.suspects():
            events.extend(self._judge(peer, now))
        events.extend(PeerChanged(peer.info(now)) for peer in self._flaps.end_trials(now) if peer.is_understood)
        return tuple(events)

    def _heard(self, probe: Probe, status: NodeStatus, round_trip_s: float, now: float) -> Events:
        peer = self._rows.get(status.node)
        is_elsewhere = peer is not None and peer.endpoint != probe.endpoint and not peer.suspected
        if peer is not None and is_elsewhere and peer.boot != status.boot:
            # Restarted at another address, or two that use one id: the row that we have is asked first.
            self._schedule.hurry(peer, now)
            self.hints.candidates.failed(probe.endpoint, probe.started_at, refused=False, now=now)
            return ()
        if status.node != self._this and peer is None and len(self._rows) >= LARGEST_SWARM:
            self.hints.candidates.failed(probe.endpoint, probe.started_at, refused=False, now=now)
            return ()
        self.hints.candidates.answered(probe.endpoint, status.node, now)
        if status.node == self._this or is_elsewhere:
            return ()
        if peer is None:
            return self._join(probe.endpoint, status, round_trip_s, now)
        return self._update(peer, probe.endpoint, status, round_trip_s, now)

    def _join(self, endpoint: Endpoint, status: NodeStatus, round_trip_s: float, now: float) -> Events:
        peer = Peer(endpoint, status, now, round_trip_s, next_at=now + self._settings.probe_every_s)
        self._rows.add(peer)
        self._schedule.joined(peer)
        self.asking.joined(peer.node)
        self._flaps.joined(peer, now)
        if not peer.is_understood:
            return ()
        self.hints.news.found(peer.node, peer.boot, endpoint, "joined", now)
        joined = PeerJoined(peer.info(now))
        return (joined, PeerSuspected(joined.peer)) if peer.is_on_trial else (joined,)

    def _update(self, peer: Peer, endpoint: Endpoint, status: NodeStatus, round_trip_s: float, now: float) -> Events:
        if (peer.boot, peer.status.protocol) != (status.boot, status.protocol):
            self._remove(peer, now)
            left = (PeerLeft(peer.info(now), "restarted"),) if peer.is_understood else ()
            return (*left, *self._join(endpoint, status, round_trip_s, now))
        changed = peer.suspected or peer.endpoint != endpoint or differs(peer.status, status)
        if peer.suspected:
            self._flaps.answered_again(peer, now)
        self._rows.move(peer, endpoint)
        peer.heard(status, round_trip_s, now)
        self._schedule.trust(peer)
        if self.hints.news.refute(peer.node, peer.boot):
            self._schedule.calm(peer)
        return (PeerChanged(peer.info(now)),) if changed and peer.is_understood else ()

    def _missed(self, probe: Probe, refused: bool, now: float) -> Events:
        peer = self._rows.at(probe.endpoint)
        if peer is None:
            self.hints.candidates.failed(probe.endpoint, probe.started_at, refused, now)
            return ()
        if probe.started_at < max(peer.heard_at, self._awake_since):
            return ()  # It was heard since, or the miss is the fault of our own pause.
        peer.refusals = peer.refusals + 1 if refused else 0
        return self._judge(peer, now) or self._suspect(peer, now)

    def _suspect(self, peer: Peer, now: float) -> Events:
        if peer.suspected:
            return ()
        self._schedule.suspect(peer, now)
        self.hints.consider(peer.node, peer.alternates, now)
        self.hints.candidates.hurry(peer.node, now)
        return (PeerSuspected(peer.info(now)),) if peer.is_understood and not peer.is_on_trial else ()

    def _judge(self, peer: Peer, now: float) -> Events:
        silent_s = now - max(peer.silent_since, self._awake_since)
        if peer.refusals and now < peer.leaving_until:
            return self._leave(peer, "it said goodbye, or was said to be gone", now)
        if peer.refusals >= self._settings.refused_to_die and silent_s > REFUSED_SILENCE_S:
            return self._leave(peer, "it refuses connections", now)
        if peer.suspected and silent_s >= self._settings.dead_after_s:
            return self._leave(peer, f"it was silent for {self._settings.dead_after_s:g} s", now)
        return ()

    def _leave(self, peer: Peer, reason: str, now: float) -> Events:
        """Off the table, and among the addresses that are tried again for a while."""
        self._remove(peer, now)
        self.hints.candidates.remember(peer.endpoint, peer.node, now)
        if not peer.is_understood:
            return ()
        self.hints.news.found(peer.node, peer.boot, peer.endpoint, "lost", now)
        return (PeerLeft(peer.info(now), reason),)

    def _remove(self, peer: Peer, now: float) -> None:
        self._rows.remove(peer.node)
        self._schedule.left(peer)
        self.asking.left(peer.node)
        self._flaps.lost(peer.node, now)

    def _is_idle(self, candidate: Candidate) -> bool:
        """A peer is there already, or a probe is on its way; or it is the second address of one that is well."""
        if candidate.endpoint in self._in_flight or self._rows.at(candidate.endpoint) is not None:
            return True
        peer = self._rows.get(candidate.node) if candidate.is_static and candidate.node is not None else None
        return peer is not None and not peer.suspected

    def _probe_peer(self, peer: Peer, now: float) -> Probe:
        fresh = peer.suspected or now - peer.heard_at > WARM_S
        peer.asked(now, self._settings.probe_every_s)
        self._schedule.started(peer, now)
        return self._probe(peer.endpoint, (FRESH_TIMEOUTS if fresh else 1.0) * self._settings.probe_timeout_s, now)

    def _probe(self, endpoint: Endpoint, timeout_s: float, now: float) -> Probe:
        self._in_flight[endpoint] += 1
        return Probe(endpoint, timeout_s, now)

    def _end(self, probe: Probe, now: float) -> None:
        self._notice_pause(now)
        self._in_flight[probe.endpoint] -= 1
        if not self._in_flight[probe.endpoint]:
            del self._in_flight[probe.endpoint]

    def _notice_pause(self, now: float) -> None:
        if now - self._ran_at > PAUSE_S:
            self._awake_since = now
            for peer in self._schedule.suspects():
                peer.refusals = 0
        self._ran_at = max(now, self._ran_at)


def _unreached(candidate: Candidate, node: NodeId) -> PeerInfo:
    silence = "refuses connections" if candidate.refused else "does not answer"
    problem = f"It was announced at {candidate.endpoint} but {silence} there: is it running, is a firewall in between?"
    return PeerInfo(node, BootId(""), candidate.endpoint, "candidate", None, 0.0, None, problem)
