"""Nodes in a circle: who stands next to whom does not change when others come and go."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator

from swarm.domain.ids import NodeId
from swarm.domain.seeds import derived_seed

Place = tuple[str, NodeId]


class Ring:
    """By node id, which is a hash and so spreads evenly; or by `place`, where an order of one's own is wanted."""

    def __init__(self, place: Callable[[NodeId], str] = str) -> None:
        self._place = place
        self._order: list[Place] = []

    def __len__(self) -> int:
        return len(self._order)

    def add(self, node: NodeId) -> None:
        if not self._has(at := self._at(node)):
            insort(self._order, at)

    def discard(self, node: NodeId) -> None:
        if self._has(at := self._at(node)):
            del self._order[bisect_left(self._order, at)]

    def after(self, node: NodeId) -> Iterator[NodeId]:
        """Clockwise from behind `node`, which need not be in the ring, once round: `node` itself would be the last."""
        start = bisect_right(self._order, self._at(node))
        for step in range(len(self._order)):
            yield self._order[(start + step) % len(self._order)][1]

    def before(self, node: NodeId) -> Iterator[NodeId]:
        """The same against the clock."""
        start = bisect_left(self._order, self._at(node)) - 1
        for step in range(len(self._order)):
            yield self._order[(start - step) % len(self._order)][1]

    def _at(self, node: NodeId) -> Place:
        return self._place(node), node

    def _has(self, at: Place) -> bool:
        place = bisect_left(self._order, at)
        return place < len(self._order) and self._order[place] == at


class Rotation:
    """Everybody in turn, in an order that looks random and is another one on each node: no two march in step."""

    def __init__(self, this: NodeId, purpose: str) -> None:
        self._ring = Ring(lambda node: f"{derived_seed(f'{purpose}/{this}', node):08x}")
        self._last = this

    def add(self, node: NodeId) -> None:
        self._ring.add(node)

    def discard(self, node: NodeId) -> None:
        self._ring.discard(node)

    def turn(self, is_wanted: Callable[[NodeId], bool]) -> NodeId | None:
        """The next one that is wanted; None where nobody is."""
        node = next(filter(is_wanted, self._ring.after(self._last)), None)
        self._last = node or self._last
        return node
