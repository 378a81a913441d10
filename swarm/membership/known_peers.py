"""Peers of earlier runs, kept over a power cut: where they were last alive. Pure; the file may hold anything."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from swarm.domain.ids import NodeId
from swarm.domain.nodes import Endpoint, PeerInfo
from swarm.membership.strangers import is_node_id

KEPT_S = 7 * 24 * 3600.0
MOST_KEPT = 64


@dataclass(frozen=True, slots=True)
class KnownPeer:
    node: NodeId
    endpoint: Endpoint
    seen_at: float
    """Unix time in s when it was last alive."""


def still_known(before: Iterable[KnownPeer], peers: Iterable[PeerInfo], wall: float) -> tuple[KnownPeer, ...]:
    """Those of before and those alive now, the latest first."""
    alive = {peer.node: KnownPeer(peer.node, peer.endpoint, wall) for peer in peers if peer.standing == "alive"}
    known = {peer.node: peer for peer in before if _is_recent(peer, wall)} | alive
    return tuple(sorted(known.values(), key=lambda peer: (-peer.seen_at, peer.node))[:MOST_KEPT])


def to_document(known: Iterable[KnownPeer]) -> dict[str, Any]:
    rows = [
        {"node": peer.node, "host": peer.endpoint.host, "port": peer.endpoint.port, "seen_at": round(peer.seen_at)}
        for peer in known
    ]
    return {"peers": rows}


def from_document(document: Mapping[str, Any] | None, wall: float) -> tuple[KnownPeer, ...]:
    """What of it can be understood and is not too old; never raises."""
    rows = (document or {}).get("peers")
    if not isinstance(rows, list):
        return ()
    peers = (_read(row) for row in rows[:MOST_KEPT])
    return tuple(peer for peer in peers if peer is not None and _is_recent(peer, wall))


def _is_recent(peer: KnownPeer, wall: float) -> bool:
    """A board without a battery wakes up in the past: what was seen in its future is not too old."""
    return wall - peer.seen_at <= KEPT_S


def _read(row: object) -> KnownPeer | None:
    match row:
        case {"node": str(node), "host": str(host), "port": int(port), "seen_at": int() | float() as seen_at}:
            is_sound = is_node_id(node) and _is_address(host) and 0 < port <= 65535 and math.isfinite(seen_at)
            return KnownPeer(NodeId(node), Endpoint(host, port), float(seen_at)) if is_sound else None
        case _:
            return None


def _is_address(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return not (address.is_multicast or address.is_unspecified)
