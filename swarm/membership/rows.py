"""The peers by id and by address, and which of them this node watches."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from swarm.domain.ids import NodeId
from swarm.domain.nodes import Endpoint
from swarm.membership.peer import Peer
from swarm.membership.ring import Ring

EVERYBODY = 32
"""Up to so many peers all are watched by all: at 0.7 ms a probe, 2 % of a core."""
WATCHED = 8
"""Beyond, each node watches its next ones on the ring of ids, and so is watched by as many: the cost stays the same."""


class Rows:
    """At most one row a node, and one an address."""

    def __init__(self, this: NodeId) -> None:
        self._this = this
        self._by_node: dict[NodeId, Peer] = {}
        self._by_endpoint: dict[Endpoint, Peer] = {}
        self._ring = Ring()

    def __len__(self) -> int:
        return len(self._by_node)

    def __iter__(self) -> Iterator[Peer]:
        return iter(self._by_node.values())

    def get(self, node: NodeId) -> Peer | None:
        return self._by_node.get(node)

    def at(self, endpoint: Endpoint) -> Peer | None:
        return self._by_endpoint.get(endpoint)

    def add(self, peer: Peer) -> None:
        """In the place of the node's old row, where it had one."""
        self.remove(peer.node)
        self._by_node[peer.node] = self._by_endpoint[peer.endpoint] = peer
        self._ring.add(peer.node)

    def move(self, peer: Peer, endpoint: Endpoint) -> None:
        del self._by_endpoint[peer.endpoint]
        peer.endpoint = endpoint
        self._by_endpoint[endpoint] = peer

    def remove(self, node: NodeId) -> None:
        peer = self._by_node.pop(node, None)
        if peer is not None:
            del self._by_endpoint[peer.endpoint]
            self._ring.discard(node)

    @property
    def all_are_watched(self) -> bool:
        return len(self._by_node) <= EVERYBODY

    def watched(self) -> tuple[Peer, ...]:
        """Those to be probed each second."""
        if self.all_are_watched:
            return tuple(self._by_node.values())
        return tuple(self._by_node[node] for node in islice(self._ring.after(self._this), WATCHED))

    def watchers(self, count: int) -> tuple[Peer, ...]:
        """At most `count`, those first who are likely to watch this node."""
        return tuple(self._by_node[node] for node in islice(self._ring.before(self._this), count))
