"""What this node tells of others, and passes on of what it heard: it spreads like an epidemic, and dies of old age.

An age grows by the way that it came, so that no copy is younger than the first: news that goes in circles ends with
the rest. That somebody joined is passed on once he answered this node itself; that somebody is lost is passed on at
once, and dropped as soon as he answers.
"""

from __future__ import annotations

from dataclasses import dataclass

from swarm.domain.ids import BootId, NewsKind, NodeId
from swarm.domain.nodes import Endpoint, News

OLDEST_S = 30.0
MOST_TOLD = 16
"""In one answer; some 130 bytes each."""
MOST_KEPT = 128
"""Eight times as many: while there are so many, each has its second in turn."""


@dataclass(slots=True)
class _Item:
    node: NodeId
    boot: BootId
    endpoint: Endpoint
    kind: NewsKind
    born_at: float
    may_be_told: bool

    def same_as(self, other: _Item) -> bool:
        return (self.boot, self.kind) == (other.boot, other.kind)


class NewsBoard:
    """One item a node, the latest."""

    def __init__(self) -> None:
        self._items: dict[NodeId, _Item] = {}

    def __len__(self) -> int:
        return len(self._items)

    def found(self, node: NodeId, boot: BootId, endpoint: Endpoint, kind: NewsKind, now: float) -> None:
        """This node saw it itself. It keeps the age that it has where it was heard of before."""
        self._put(_Item(node, boot, endpoint, kind, now, may_be_told=True))

    def heard(self, news: News, round_trip_s: float, now: float) -> bool:
        """Whether it is new here, and worth a probe."""
        age_s = max(0.0, news.age_s) + max(0.0, round_trip_s)
        if age_s > OLDEST_S:
            return False
        is_loss = news.kind == "lost"
        return self._put(_Item(news.node, news.boot, news.endpoint, news.kind, now - age_s, may_be_told=is_loss))

    def refute(self, node: NodeId, boot: BootId) -> bool:
        """It answered. Whether it had been said to be lost."""
        item = self._items.get(node)
        if item is None or item.kind != "lost" or item.boot != boot:
            return False
        del self._items[node]
        return True

    def tell(self, now: float) -> tuple[News, ...]:
        """At most `MOST_TOLD`; where there are more, others each second."""
        items = [item for item in self._items.values() if item.may_be_told and now - item.born_at <= OLDEST_S]
        if len(items) > MOST_TOLD:
            first = int(now) * MOST_TOLD % len(items)
            items = (items + items)[first : first + MOST_TOLD]
        return tuple(News(item.node, item.boot, item.endpoint, item.kind, now - item.born_at) for item in items)

    def expire(self, now: float) -> None:
        for item in tuple(self._items.values()):
            if now - item.born_at > OLDEST_S:
                del self._items[item.node]

    def _put(self, item: _Item) -> bool:
        known = self._items.get(item.node)
        if known is not None and known.same_as(item):
            known.born_at = min(known.born_at, item.born_at)
            known.may_be_told |= item.may_be_told
            return False
        if known is not None and known.born_at > item.born_at:
            return False
        self._items.pop(item.node, None)
        self._make_room()
        self._items[item.node] = item
        return True

    def _make_room(self) -> None:
        """What nobody has confirmed goes first, then the oldest."""
        if len(self._items) >= MOST_KEPT:
            worst = min(self._items.values(), key=lambda item: (item.may_be_told, item.born_at))
            del self._items[worst.node]
