"""Which peers are probed now: watched ones each second, suspects each quarter of one, the others in turn."""

from __future__ import annotations

import math
from collections.abc import Collection

from swarm.domain.ids import NodeId
from swarm.domain.nodes import Endpoint
from swarm.membership.peer import Peer
from swarm.membership.ring import Rotation
from swarm.membership.rows import Rows
from swarm.membership.settings import MembershipSettings

TURN_EVERY_S = 0.5
"""Between probes of peers that are not watched, all together: the last resort where news of a loss did not come."""
ROOM_FOR_SUSPECTS = 0.75
"""Of the probes that may be started: when half of a swarm is cut off, the newcomers' turn comes all the same."""


class Schedule:
    """Its cost does not grow with the number of peers."""

    def __init__(self, this: NodeId, rows: Rows, settings: MembershipSettings) -> None:
        self._rows, self._settings = rows, settings
        self._rotation = Rotation(this, "probe")
        self._turn_at = -math.inf
        self._hurried: set[NodeId] = set()
        self._suspects: set[NodeId] = set()

    def joined(self, peer: Peer) -> None:
        self._rotation.add(peer.node)

    def left(self, peer: Peer) -> None:
        self._rotation.discard(peer.node)
        self._hurried.discard(peer.node)
        self._suspects.discard(peer.node)

    def suspects(self) -> tuple[Peer, ...]:
        return self._peers(self._suspects)

    def suspect(self, peer: Peer, now: float) -> None:
        peer.suspected, peer.next_at = True, now
        self._suspects.add(peer.node)

    def trust(self, peer: Peer) -> None:
        peer.suspected, peer.refusals = False, 0
        self._suspects.discard(peer.node)

    def hurry(self, peer: Peer, now: float) -> None:
        """However many hints come, a peer is not probed more often than one in doubt."""
        peer.next_at = min(peer.next_at, max(now, peer.probed_at + self._settings.retry_every_s))
        self._hurried.add(peer.node)

    def calm(self, peer: Peer) -> None:
        """What was said of it is not true."""
        peer.leaving_until = -math.inf
        self._hurried.discard(peer.node)

    def due(self, now: float, room: int, in_flight: Collection[Endpoint]) -> list[Peer]:
        """At most `room`, the longest overdue first; those that are well before those that are not, which alone are
        asked again before the last probe ended."""
        well = [peer for peer in self._well() if now >= peer.next_at]
        well.sort(key=lambda peer: peer.next_at)
        well = [peer for peer in (*well, *self._turn(now)) if peer.endpoint not in in_flight]
        unwell = sorted((peer for peer in self.suspects() if now >= peer.next_at), key=lambda peer: peer.next_at)
        return [*well[:room], *unwell[: math.ceil(ROOM_FOR_SUSPECTS * max(0, room - len(well)))]]

    def started(self, peer: Peer, now: float) -> None:
        is_leaving = now < peer.leaving_until
        settings = self._settings
        peer.next_at = now + (settings.retry_every_s if peer.suspected or is_leaving else settings.probe_every_s)
        if not is_leaving:
            self._hurried.discard(peer.node)

    def _well(self) -> list[Peer]:
        nodes = {peer.node: peer for peer in (*self._rows.watched(), *self._peers(self._hurried))}
        return [peer for peer in nodes.values() if not peer.suspected]

    def _turn(self, now: float) -> list[Peer]:
        if self._rows.all_are_watched or now < self._turn_at:
            return []
        self._turn_at = max(self._turn_at + TURN_EVERY_S, now)
        settled = {peer.node for peer in self._rows.watched()} | self._hurried | self._suspects
        node = self._rotation.turn(lambda node: node not in settled)
        peer = self._rows.get(node) if node is not None else None
        return [] if peer is None else [peer]

    def _peers(self, nodes: set[NodeId]) -> tuple[Peer, ...]:
        return tuple(peer for node in nodes if (peer := self._rows.get(node)) is not None)
