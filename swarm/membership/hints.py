"""What others say of who comes, is there and goes. It makes this node look, and is never believed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice

from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Advert, Endpoint, News, PeerInfo
from swarm.membership.candidates import MOST_LEARNED, Candidates
from swarm.membership.hearsay import dialable
from swarm.membership.news import MOST_TOLD, NewsBoard
from swarm.membership.rows import Rows
from swarm.membership.schedule import Schedule
from swarm.membership.settings import MembershipSettings
from swarm.membership.strangers import is_boot_id, is_node_id

MOST_ENDPOINTS = 8
"""Of one announcement."""


class Hints:
    """Each ends as an address to probe, or as an earlier probe of a peer; both are bounded whatever is said."""

    def __init__(
        self,
        this: NodeId,
        rows: Rows,
        schedule: Schedule,
        settings: MembershipSettings,
        listening: Callable[[], tuple[Endpoint, ...]],
    ) -> None:
        """`listening`: where this node is met, which decides what addresses that others tell may be dialled."""
        self._this, self._rows, self._schedule, self._settings = this, rows, schedule, settings
        self._listening = listening
        self.candidates = Candidates(settings)
        self.news = NewsBoard()

    def configured(self, endpoints: Iterable[Endpoint], now: float) -> None:
        """By the operator: to be probed for ever."""
        for endpoint in endpoints:
            self.candidates.add_static(endpoint, now)

    def announced(self, advert: Advert, now: float) -> None:
        """Over mDNS. What listens there has dropped addresses that may not be dialled."""
        endpoints = advert.endpoints[:MOST_ENDPOINTS]
        peer = self._rows.get(advert.node)
        if peer is not None and peer.boot == advert.boot:
            peer.alternates = endpoints
        self._meet(advert.node, advert.boot, endpoints, now)

    def greeted(self, node: NodeId, boot: BootId, endpoint: Endpoint, now: float) -> None:
        """By a node that has met this one, or by somebody in its name."""
        reachable = self._reach(endpoint)
        if reachable is not None and is_node_id(node) and is_boot_id(boot):
            if self._is_unknown(node):
                self.candidates.greeted(reachable, node, now)
            self._meet(node, boot, (reachable,), now)

    def said_goodbye(self, node: NodeId, now: float) -> None:
        """Anybody can say it in another's name: it makes us look at once, and believe the first refusal."""
        peer = self._rows.get(node)
        if peer is not None:
            peer.leaving_until = now + self._settings.dead_after_s
            self._schedule.hurry(peer, now)

    def learned(self, rows: Iterable[PeerInfo], now: float) -> None:
        """A member's own table of peers."""
        for row in islice(rows, MOST_LEARNED):
            endpoint = self._reach(row.endpoint)
            if endpoint is not None and row.standing == "alive" and self._is_unknown(row.node):
                self.candidates.learn(endpoint, row.node, now)

    def recalled(self, peers: Iterable[tuple[NodeId, Endpoint]], now: float) -> None:
        """Peers of an earlier run of this node."""
        for node, endpoint in peers:
            if self._is_unknown(node):
                self.candidates.recall(endpoint, node, now)

    def told(self, news: Iterable[News], round_trip_s: float, now: float) -> None:
        """By a peer that answered. What is known here, and what this node cannot reach, is no news."""
        for item in islice(news, MOST_TOLD):
            is_sound = item.node != self._this and is_node_id(item.node) and is_boot_id(item.boot)
            if not is_sound or not self._would_change(item, now - round_trip_s - item.age_s):
                continue
            endpoint = self._reach(item.endpoint)
            if endpoint is not None and self.news.heard(replace(item, endpoint=endpoint), round_trip_s, now):
                self._look(item, endpoint, now)

    def expire(self, now: float) -> None:
        self.candidates.expire(now)
        self.news.expire(now)

    def _would_change(self, item: News, found_at: float) -> bool:
        """Who was heard since then is not lost; and where nobody knows it, nothing is lost."""
        peer = self._rows.get(item.node)
        is_known = peer is not None and peer.boot == item.boot
        if item.kind == "joined":
            return not is_known
        return peer is not None and is_known and peer.heard_at < found_at

    def _look(self, item: News, endpoint: Endpoint, now: float) -> None:
        if item.kind == "joined":
            self._meet(item.node, item.boot, (endpoint,), now)
        else:
            self.said_goodbye(item.node, now)

    def _meet(self, node: NodeId, boot: BootId, endpoints: Iterable[Endpoint], now: float) -> None:
        peer = self._rows.get(node)
        if node == self._this or (peer is not None and peer.boot == boot and not peer.suspected):
            return
        if peer is not None:
            self._schedule.hurry(peer, now)
        self.consider(node, endpoints, now)

    def consider(self, node: NodeId, endpoints: Iterable[Endpoint], now: float) -> None:
        for endpoint in endpoints:
            if self._rows.at(endpoint) is None:
                self.candidates.hear_of(endpoint, node, now)

    def _reach(self, endpoint: Endpoint) -> Endpoint | None:
        """None where no word but the operator's may make this node connect."""
        own = self._listening()
        if endpoint in own:
            return None
        hosts = [here.host for here in own] or [""]
        return next((found for host in hosts if (found := dialable(endpoint, host)) is not None), None)

    def _is_unknown(self, node: NodeId) -> bool:
        return node != self._this and is_node_id(node) and self._rows.get(node) is None
