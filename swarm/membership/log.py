"""What the operator is told of the membership: each thing once, in constant sentences."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import assert_never

from swarm.domain.errors import PeerError
from swarm.domain.events import MembershipEvent, PeerChanged, PeerJoined, PeerLeft, PeerSuspected
from swarm.domain.ids import NodeId
from swarm.domain.nodes import Endpoint, NodeStatus
from swarm.membership.strangers import is_node_id
from swarm.membership.table import LARGEST_SWARM
from swarm.wire.codec import PROTOCOL_VERSION

logger = logging.getLogger(__name__)


class MembershipLog:
    def __init__(self) -> None:
        self._expected: set[Endpoint] = set()
        """Configured addresses that have not failed yet."""
        self._not_understood: set[NodeId] = set()

    def expect(self, endpoints: Iterable[Endpoint]) -> None:
        """The first failure of each of these is worth a warning."""
        self._expected.update(endpoints)

    def event(self, event: MembershipEvent) -> None:
        peer = event.peer
        fields: dict[str, object] = {"peer": peer.node, "endpoint": str(peer.endpoint)}
        match event:
            case PeerJoined():
                name = peer.status.name if peer.status else ""
                logger.info("peer joined", extra={"fields": {**fields, "name": name}})
            case PeerLeft():
                logger.info("peer left", extra={"fields": {**fields, "reason": event.reason}})
            case PeerSuspected():
                logger.info("peer is suspect", extra={"fields": {**fields, "problem": peer.problem}})
            case PeerChanged():
                logger.debug("peer changed", extra={"fields": fields})
            case _:
                assert_never(event)

    def failure(self, endpoint: Endpoint, error: PeerError) -> None:
        if endpoint in self._expected:
            self._expected.discard(endpoint)
            fields = {"endpoint": str(endpoint), "problem": str(error)}
            logger.warning("a configured peer does not answer; it is tried for ever", extra={"fields": fields})

    def answer(self, endpoint: Endpoint, status: NodeStatus) -> None:
        """Of a node that speaks another protocol: it is shown among the peers and gets no work."""
        if status.protocol == PROTOCOL_VERSION or not is_node_id(status.node):
            self._not_understood.discard(status.node)
        elif status.node not in self._not_understood and len(self._not_understood) < LARGEST_SWARM:
            self._not_understood.add(status.node)
            fields = {"endpoint": str(endpoint), "theirs": status.protocol, "ours": PROTOCOL_VERSION}
            logger.warning("a peer speaks another protocol; install the same version on both", extra={"fields": fields})
