"""What nodes announce in the DHT: Petals' `ServerInfo`, with what the planner needs beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pydantic
from hivemind.p2p import PeerID
from petals.data_structures import ServerInfo, ServerState

from swarm.domain.nodes import BlockSpan
from swarm.worker.placement import DEFAULT_BLOCK_S, Place

FASTEST_BLOCK_S, SLOWEST_BLOCK_S = 1e-6, 60.0
"""What may be claimed; all beyond is taken for the nearest of these."""


@pydantic.dataclasses.dataclass
class Announcement(ServerInfo):
    """Petals ignores the fields that it does not know, here and in what it reads."""

    capacity: int = 0
    """Blocks that fit into the node's memory; 0 where it says nothing."""
    movable: bool = False
    """It chose its blocks by itself and may choose others."""
    firm: bool = True
    """False: the blocks are not decided yet; this is only where it would go now."""
    next_start: int | None = None
    next_end: int | None = None
    """Blocks that it is loading, to serve them instead of those that it serves now."""

    @property
    def span(self) -> BlockSpan | None:
        return _span(self.start_block, self.end_block)

    @property
    def next_span(self) -> BlockSpan | None:
        return _span(self.next_start, self.next_end)

    @property
    def block_s(self) -> float | None:
        """Seconds for one token in one block; None where nothing, or nonsense, is said."""
        if not self.inference_rps:
            return None
        return min(max(1.0 / self.inference_rps, FASTEST_BLOCK_S), SLOWEST_BLOCK_S)

    def place(self, server: str, layers: int, link_s: float) -> Place:
        """As the planner sees it; what is claimed is kept within what can be."""
        next_span = self.next_span
        span = next_span if next_span and next_span.end <= layers else self.span
        held = len(span) if span else 0
        return Place(
            server=server,
            span=span,
            capacity=min(max(self.capacity, held, 1), layers),
            block_s=self.block_s or DEFAULT_BLOCK_S,
            link_s=link_s,
            movable=self.movable and self.state is ServerState.ONLINE and held < layers and next_span is None,
        )


def newest_announcements(found: Iterable[Any], layers: int, latest_expiration: float) -> Mapping[str, Announcement]:
    """The last word of each server, by its libp2p id, from what the DHT holds under all blocks.

    A server that moved left older records under blocks that it no longer serves; they tell nothing any more. Records
    that expire later than anybody may ask for are nonsense, and so are blocks that the model has not."""
    newest: dict[str, tuple[float, Announcement]] = {}
    for held in found:
        records = held.value if held is not None and isinstance(held.value, dict) else {}
        for server, record in records.items():
            expiration = record.expiration_time
            if expiration > latest_expiration or (server in newest and newest[server][0] >= expiration):
                continue
            if (announcement := _understood(server, record.value)) is not None:
                newest[server] = expiration, announcement
    return {
        server: announcement
        for server, (_, announcement) in sorted(newest.items())
        if announcement.span is None or announcement.span.end <= layers
    }


def _understood(server: object, value: Any) -> Announcement | None:
    try:
        PeerID.from_base58(server)
        announcement: Announcement = Announcement.from_tuple(value)
    except Exception:  # strangers' bytes: whatever base58, msgpack's leftovers and pydantic raise for nonsense
        return None
    return announcement


def _span(start: int | None, end: int | None) -> BlockSpan | None:
    try:
        return BlockSpan(start, end) if start is not None and end is not None and start < end else None
    except ValueError:
        return None
