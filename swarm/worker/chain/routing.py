"""Which node runs which blocks of a request. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swarm.domain.nodes import BlockSpan
from swarm.worker.placement import DEFAULT_BLOCK_S

DEFAULT_HOP_S = 0.004
"""Of a hop that was never measured: loopback with a tiny model (measured)."""
LOAD_SHARE = 0.25
"""How much slower a server is believed to be for each sequence of this node that runs there already; small, since
steps of several sequences are batched, and enough for two sequences to take different routes where there are two."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Blocks that a node serves. `server` is its libp2p id; None is this node itself."""

    server: str | None
    span: BlockSpan
    node: str = ""
    """The node's own id, as it claims; empty where it says none."""
    block_s: float | None = None
    """What one token through one of its blocks takes, as announced, within what can be; None where nothing is said."""
    hop_s: float | None = None
    """What a step there takes from here beyond its blocks, as measured here, with what it is avoided for."""
    load: int = 0
    """Sequences of this node that run there."""
    number_format: str = ""
    """In which it computes, as it announces: `float32`, `bfloat16` …; empty where it says nothing."""

    @property
    def sound_block_s(self) -> float:
        return DEFAULT_BLOCK_S if self.block_s is None else self.block_s


@dataclass(frozen=True, slots=True)
class Hop:
    """The blocks of `span` at the server of `offer`, which offers at least those."""

    offer: Offer
    span: BlockSpan

    @property
    def server(self) -> str | None:
        return self.offer.server

    @property
    def node(self) -> str:
        return self.offer.node


def choose_route(offers: Sequence[Offer], span: BlockSpan) -> tuple[Hop, ...] | None:
    """The way through the blocks of `span` that takes a token the shortest time; None where one is offered by nobody.

    Worked out from the last block backwards: best[i] is the fastest way from block i to the end. Since each hop goes
    from here and back, what a hop takes does not depend on the others, and a node that makes it slower is left out.
    Times are compared in nanoseconds: the same blocks in two pieces differ by the rounding of sums."""
    best: dict[int, tuple[float, tuple[Hop, ...]]] = {span.end: (0.0, ())}
    for start in reversed(range(span.start, span.end)):
        ways = [
            (seconds + expected_s(offer, end - start), (Hop(offer, BlockSpan(start, end)), *hops))
            for offer in offers
            if offer.span.start <= start < offer.span.end
            for end in range(start + 1, min(offer.span.end, span.end) + 1)
            if end in best
            for seconds, hops in (best[end],)
        ]
        if ways:
            best[start] = min(
                ways, key=lambda way: (round(way[0], 9), len(way[1]), tuple(hop.server or "" for hop in way[1]))
            )
    found = best.get(span.start)
    return found[1] if found else None


def expected_s(offer: Offer, blocks: int) -> float:
    """What a token through this many blocks of the offer takes, by all that is known of it."""
    hop_s = 0.0 if offer.server is None else DEFAULT_HOP_S if offer.hop_s is None else offer.hop_s
    return (hop_s + blocks * offer.sound_block_s) * (1 + LOAD_SHARE * offer.load)
