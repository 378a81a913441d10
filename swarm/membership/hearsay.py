"""Addresses that other nodes tell: where their word may make this node connect, and whom to ask for more of them."""

from __future__ import annotations

import math
from ipaddress import IPv6Address, ip_network

from swarm.domain.addresses import LOWEST_PORT, Address, is_one_machine, parse_address
from swarm.domain.ids import NodeId
from swarm.domain.nodes import Endpoint
from swarm.membership.ring import Rotation
from swarm.membership.rows import EVERYBODY, Rows

PRIVATE_NETWORKS = tuple(
    map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7"))
)
"""Named one by one: what Python calls private holds Teredo and NAT64 too, which lead to the public internet."""
OWN_NETWORK_BITS = {4: 24, 6: 64}
"""Public addresses are dialled on the own network only, whose real size the core does not know."""
ASK_EVERY_S = 30.0
"""One random member, for the peers that it knows. Beyond `EVERYBODY` less often, as its answer is longer."""
ASK_AGAIN_S = 1.0
"""After one that did not answer."""


def dialable(endpoint: Endpoint, host: str) -> Endpoint | None:
    """The address as this node, which listens on `host`, can dial it; None where it may not.

    An address of one link is only meant where both are on that link, which has another name on each machine.
    """
    address, own = parse_address(endpoint.host), parse_address(host)
    if address is None or not LOWEST_PORT <= endpoint.port <= 65535:
        return None
    # Written anew: a zone may be any text, and only addresses of one link have one.
    bare = str(address).partition("%")[0]
    if address.is_loopback or (own is not None and own.is_loopback):
        both = own is not None and own.is_loopback and address.is_loopback
        return Endpoint(bare, endpoint.port) if both else None
    if not is_one_machine(address):
        return None
    if isinstance(address, IPv6Address) and address.is_link_local:
        zone = own.scope_id if isinstance(own, IPv6Address) else None
        return Endpoint(f"{bare}%{zone}", endpoint.port) if zone else None
    is_private = any(address in network for network in PRIVATE_NETWORKS)
    return Endpoint(bare, endpoint.port) if is_private or _is_near(address, own) else None


def _is_near(address: Address, own: Address | None) -> bool:
    if own is None or own.version != address.version:
        return False
    return address in ip_network(f"{str(own).partition('%')[0]}/{OWN_NETWORK_BITS[own.version]}", strict=False)


class Asking:
    """When, and whom, to ask for the peers that it knows: the first one met, then one at random each half minute."""

    def __init__(self, this: NodeId, rows: Rows) -> None:
        self._rows = rows
        self._rotation = Rotation(this, "ask")
        self._asked_at = -math.inf

    def joined(self, node: NodeId) -> None:
        self._rotation.add(node)

    def left(self, node: NodeId) -> None:
        """Who has lost them all asks the first one that comes back."""
        self._rotation.discard(node)
        if not len(self._rows):
            self._asked_at = -math.inf

    def due(self, now: float) -> Endpoint | None:
        """Whom to ask now; then not before the answer, or its failure, and a pause."""
        if now < self._asked_at + self._pause_s():
            return None
        node = self._rotation.turn(self._is_well)
        peer = self._rows.get(node) if node is not None else None
        if peer is None:
            return None
        self._asked_at = now
        return peer.endpoint

    def failed(self, now: float) -> None:
        self._asked_at = min(self._asked_at, now + ASK_AGAIN_S - self._pause_s())

    def _pause_s(self) -> float:
        """By the size of the swarm now: whoever asked when it knew few has met the others since."""
        return ASK_EVERY_S * max(1.0, len(self._rows) / EVERYBODY)

    def _is_well(self, node: NodeId) -> bool:
        peer = self._rows.get(node)
        return peer is not None and peer.is_understood and not peer.suspected
