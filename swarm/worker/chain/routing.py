"""Which node runs which blocks of a request. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from swarm.domain.nodes import BlockSpan

HOP_COST = 8.0
"""What going over the network costs, in units of the time of one block: a hop takes 3 to 4 ms on loopback (measured
with tiny blocks), so that fewer and longer spans win, and own blocks are used where they save a hop."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Blocks that a node serves. `server` is its libp2p id; None is this node itself."""

    server: str | None
    span: BlockSpan
    node: str = ""
    """The node's own id, as it claims; empty where it says none."""
    block_s: float | None = None
    """What one token through one of its blocks takes, as it announces; None where it says nothing."""


@dataclass(frozen=True, slots=True)
class Hop:
    server: str | None
    span: BlockSpan
    node: str = ""


def missing_blocks(offers: Collection[Offer], layers: int) -> tuple[BlockSpan, ...]:
    """The blocks that nobody offers, as spans."""
    covered = {index for offer in offers for index in range(offer.span.start, offer.span.end)}
    spans: list[BlockSpan] = []
    for index in range(layers):
        if index in covered:
            continue
        if spans and spans[-1].end == index:
            spans[-1] = BlockSpan(spans[-1].start, index + 1)
        else:
            spans.append(BlockSpan(index, index + 1))
    return tuple(spans)


def choose_route(offers: Sequence[Offer], span: BlockSpan) -> tuple[Hop, ...] | None:
    """The cheapest way through the blocks of `span`; None where one of them is offered by nobody.

    Worked out from the last block backwards: best[i] is the cheapest way from block i to the end."""
    best: dict[int, tuple[float, tuple[Hop, ...]]] = {span.end: (0.0, ())}
    for start in reversed(range(span.start, span.end)):
        ways = [
            (cost + _cost(offer, end - start), (Hop(offer.server, BlockSpan(start, end), offer.node), *hops))
            for offer in offers
            if offer.span.start <= start < offer.span.end
            for end in range(start + 1, min(offer.span.end, span.end) + 1)
            if end in best
            for cost, hops in (best[end],)
        ]
        if ways:
            best[start] = min(ways, key=lambda way: (way[0], tuple(hop.server or "" for hop in way[1])))
    found = best.get(span.start)
    return found[1] if found else None


def _cost(offer: Offer, blocks: int) -> float:
    return blocks + (HOP_COST if offer.server else 0.0)


def choose_span(offers: Collection[Offer], layers: int, count: int) -> BlockSpan:
    """Where a node that can hold `count` blocks helps most: the span whose blocks are served least often.

    The first such span, so that nodes that start one after another fill the model from its beginning."""
    served = [sum(offer.span.start <= index < offer.span.end for offer in offers) for index in range(layers)]
    count = max(1, min(count, layers))
    start = min(range(layers - count + 1), key=lambda first: (sorted(served[first : first + count]), first))
    return BlockSpan(start, start + count)
