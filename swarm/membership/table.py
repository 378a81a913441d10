"""Who is in the swarm now: observations in, events and probes out. Never waits, never asks the time.

Announcements and configured addresses are hints where to probe. A node is a peer once it has answered a probe for
itself, with one row however many addresses it has. A peer is probed each second on its warm connection; at the first
miss it gets no new work, and fresh connections race every quarter of a second; it is gone after 5 s of silence, or
after three refusals and more than 1 s of it. A pause of this process resets all clocks: then it was we who were silent.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from swarm.domain.events import MembershipEvent, PeerChanged, PeerJoined, PeerLeft, PeerSuspected
from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Advert, Endpoint, NodeStatus, PeerInfo
from swarm.membership.candidates import Candidate, Candidates
from swarm.membership.peer import Peer, differs
from swarm.membership.settings import MembershipSettings
from swarm.membership.strangers import clean_status, node_of

LARGEST_SWARM = 256
"""Rows; each costs a probe a second. A node beyond them is tried again later."""
MOST_ENDPOINTS = 8
"""Of one announcement."""
REFUSED_SILENCE_S = 1.0
"""A server that is started again refuses for a moment and is not gone."""
PAUSE_S = 1.2
"""Between two calls of `expire`, which come ten times a second; more means that this process did not run."""
FRESH_TIMEOUTS = 2.0
"""A lost SYN is repeated after 1 s, so a fresh connection gets `probe_timeout_s` this many times."""

Events = tuple[MembershipEvent, ...]


@dataclass(frozen=True, slots=True)
class Probe:
    """Ask whoever is at `endpoint` for its status. Ends with `answered` or `failed`, exactly once."""

    endpoint: Endpoint
    timeout_s: float
    started_at: float


class PeerTable:
    def __init__(self, this: NodeId, settings: MembershipSettings) -> None:
        self._this, self._settings = this, settings
        self._peers: dict[NodeId, Peer] = {}
        self._candidates = Candidates(settings)
        self._in_flight: Counter[Endpoint] = Counter()
        self._ran_at = -math.inf
        self._awake_since = -math.inf

    def peers(self, now: float) -> tuple[PeerInfo, ...]:
        """One row a node: the peers, then nodes that were announced but do not answer, with the reason."""
        rows = {node: peer.info(now) for node, peer in self._peers.items()}
        for candidate in self._candidates:
            if candidate.node is not None and candidate.failures and not candidate.answered_once:
                rows.setdefault(candidate.node, _unreached(candidate, candidate.node))
        rows.pop(self._this, None)
        return tuple(rows.values())

    def add_static(self, endpoints: Iterable[Endpoint], now: float) -> None:
        """Addresses to probe for ever."""
        for endpoint in endpoints:
            self._candidates.add_static(endpoint, now)

    def heard_of(self, advert: Advert, now: float) -> None:
        if advert.node == self._this:
            return
        endpoints = advert.endpoints[:MOST_ENDPOINTS]
        peer = self._peers.get(advert.node)
        if peer is not None and peer.boot == advert.boot:
            peer.alternates = endpoints
            if not peer.suspected:
                return
        if peer is not None:
            self._hurry(peer, now)
        self._consider(endpoints, advert.node, now)

    def said_goodbye(self, node: NodeId, now: float) -> None:
        """Anybody can say it in another's name: it makes us look at once, and believe the first refusal."""
        peer = self._peers.get(node)
        if peer is not None:
            peer.leaving_until = now + self._settings.dead_after_s
            self._hurry(peer, now)

    def due(self, now: float, room: int) -> tuple[Probe, ...]:
        """At most `room` probes to start now; those of peers come first."""
        probes = [self._probe_peer(peer, now) for peer in self._due_peers(now)[:room]]
        busy = {peer.endpoint for peer in self._peers.values()} | self._in_flight.keys()
        settled = {peer.node for peer in self._peers.values() if not peer.suspected}
        timeout_s = FRESH_TIMEOUTS * self._settings.probe_timeout_s
        candidates = self._candidates.start_due(now, max(0, room - len(probes)), busy=busy, settled=settled)
        return (*probes, *(self._probe(candidate.endpoint, timeout_s, now) for candidate in candidates))

    def answered(self, probe: Probe, status: NodeStatus, round_trip_s: float, now: float) -> Events:
        self._end(probe, now)
        status = clean_status(status)
        node = node_of(status)
        if node is None:
            return self._missed(probe, refused=False, now=now)
        tenant = self._at(probe.endpoint)
        events: Events = ()
        if tenant is not None and tenant.node != node:
            events = self._leave(tenant, f"another node answers at {probe.endpoint}", now)
        return (*events, *self._heard(probe, status, round_trip_s, now))

    def failed(self, probe: Probe, refused: bool, now: float) -> Events:
        self._end(probe, now)
        return self._missed(probe, refused, now)

    def expire(self, now: float) -> Events:
        """Call it ten times a second: it is also how a pause of this process is noticed."""
        self._notice_pause(now)
        self._candidates.expire(now)
        events: list[MembershipEvent] = []
        for peer in tuple(self._peers.values()):
            events.extend(self._judge(peer, now))
        return tuple(events)

    def _heard(self, probe: Probe, status: NodeStatus, round_trip_s: float, now: float) -> Events:
        peer = self._peers.get(status.node)
        if peer is not None and peer.endpoint != probe.endpoint and not peer.suspected and peer.boot != status.boot:
            # Restarted at another address, or two that use one id: the row that we have is asked first.
            self._hurry(peer, now)
            self._candidates.failed(probe.endpoint, probe.started_at, refused=False, now=now)
            return ()
        if status.node != self._this and peer is None and len(self._peers) >= LARGEST_SWARM:
            self._candidates.failed(probe.endpoint, probe.started_at, refused=False, now=now)
            return ()
        self._candidates.answered(probe.endpoint, status.node, now)
        if status.node == self._this:
            return ()
        if peer is None:
            return self._join(probe.endpoint, status, round_trip_s, now)
        if peer.endpoint != probe.endpoint and not peer.suspected:
            return ()
        return self._update(peer, probe.endpoint, status, round_trip_s, now)

    def _join(self, endpoint: Endpoint, status: NodeStatus, round_trip_s: float, now: float) -> Events:
        peer = Peer(endpoint, status, now, round_trip_s, next_at=now + self._settings.probe_every_s)
        self._peers[peer.node] = peer
        return (PeerJoined(peer.info(now)),) if peer.is_understood else ()

    def _update(self, peer: Peer, endpoint: Endpoint, status: NodeStatus, round_trip_s: float, now: float) -> Events:
        if (peer.boot, peer.status.protocol) != (status.boot, status.protocol):
            left = (PeerLeft(peer.info(now), "restarted"),) if peer.is_understood else ()
            return (*left, *self._join(endpoint, status, round_trip_s, now))
        changed = peer.suspected or peer.endpoint != endpoint or differs(peer.status, status)
        peer.endpoint, peer.status, peer.round_trip_s, peer.heard_at = endpoint, status, round_trip_s, now
        peer.suspected, peer.refusals = False, 0
        return (PeerChanged(peer.info(now)),) if changed and peer.is_understood else ()

    def _missed(self, probe: Probe, refused: bool, now: float) -> Events:
        peer = self._at(probe.endpoint)
        if peer is None:
            self._candidates.failed(probe.endpoint, probe.started_at, refused, now)
            return ()
        if probe.started_at < max(peer.heard_at, self._awake_since):
            return ()  # It was heard since, or the miss is the fault of our own pause.
        peer.refusals = peer.refusals + 1 if refused else 0
        return self._judge(peer, now) or self._suspect(peer, now)

    def _suspect(self, peer: Peer, now: float) -> Events:
        if peer.suspected:
            return ()
        peer.suspected, peer.next_at = True, now
        self._consider(peer.alternates, peer.node, now)
        self._candidates.hurry(peer.node, now)
        return (PeerSuspected(peer.info(now)),) if peer.is_understood else ()

    def _judge(self, peer: Peer, now: float) -> Events:
        silent_s = now - max(peer.heard_at, self._awake_since)
        if peer.refusals and now < peer.leaving_until:
            return self._leave(peer, "it said goodbye", now)
        if peer.refusals >= self._settings.refused_to_die and silent_s > REFUSED_SILENCE_S:
            return self._leave(peer, "it refuses connections", now)
        if peer.suspected and silent_s >= self._settings.dead_after_s:
            return self._leave(peer, f"it was silent for {self._settings.dead_after_s:g} s", now)
        return ()

    def _leave(self, peer: Peer, reason: str, now: float) -> Events:
        """Off the table, and among the addresses that are tried again for a while."""
        del self._peers[peer.node]
        self._candidates.remember(peer.endpoint, peer.node, now)
        return (PeerLeft(peer.info(now), reason),) if peer.is_understood else ()

    def _consider(self, endpoints: Iterable[Endpoint], node: NodeId, now: float) -> None:
        for endpoint in endpoints:
            if self._at(endpoint) is None:
                self._candidates.hear_of(endpoint, node, now)

    def _hurry(self, peer: Peer, now: float) -> None:
        """However many hints come, a peer is not probed more often than one in doubt."""
        peer.next_at = min(peer.next_at, max(now, peer.probed_at + self._settings.retry_every_s))

    def _due_peers(self, now: float) -> list[Peer]:
        due = [
            peer
            for peer in self._peers.values()
            if now >= peer.next_at and (peer.suspected or peer.endpoint not in self._in_flight)
        ]
        return sorted(due, key=lambda peer: peer.next_at)

    def _probe_peer(self, peer: Peer, now: float) -> Probe:
        in_doubt = peer.suspected or now < peer.leaving_until
        peer.probed_at = now
        peer.next_at = now + (self._settings.retry_every_s if in_doubt else self._settings.probe_every_s)
        timeouts = FRESH_TIMEOUTS if peer.suspected else 1.0
        return self._probe(peer.endpoint, timeouts * self._settings.probe_timeout_s, now)

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
            for peer in self._peers.values():
                peer.refusals = 0
        self._ran_at = max(now, self._ran_at)

    def _at(self, endpoint: Endpoint) -> Peer | None:
        return next((peer for peer in self._peers.values() if peer.endpoint == endpoint), None)


def _unreached(candidate: Candidate, node: NodeId) -> PeerInfo:
    silence = "refuses connections" if candidate.refused else "does not answer"
    problem = f"It was announced at {candidate.endpoint} but {silence} there: is it running, is a firewall in between?"
    return PeerInfo(node, BootId(""), candidate.endpoint, "candidate", None, 0.0, None, problem)
