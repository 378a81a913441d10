"""Blocks for a node that has none yet: told to the others before any weight is read, so that no two take the same."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from swarm.domain.nodes import BlockSpan
from swarm.worker.chain.node import ChainNode
from swarm.worker.chain.others import Seen
from swarm.worker.placement import Place, arrange, better_span

LOOK_EVERY_S = 0.5
SETTLED_S = 3.0
"""So long nothing new was heard. Longer than it takes until nodes that start in the same second have been introduced to
each other: their daemons probe each other each second."""
LONGEST_S = 12.0
CONFIRM_S = 1.0
"""From the promise to the look at what others promised at the same moment."""
View = frozenset[tuple[str, BlockSpan | None]]
"""Which others were counted, with their blocks where these are settled."""


async def claim(node: ChainNode, capacity: int) -> BlockSpan:
    """Waits until it is known who else is placed now, and promises the blocks that fall to this node."""
    loop = asyncio.get_running_loop()
    me = Place(node.server_id, None, capacity)
    started = changed = loop.time()
    seen: object = None
    while True:
        await node.refresh()
        span, view = _share(node, me)
        if (span, view) != seen:
            seen, changed = (span, view), loop.time()
            await node.promise(span, firm=False)
        is_last = loop.time() - started >= LONGEST_S
        if is_last or loop.time() - changed >= SETTLED_S:
            await node.promise(span, firm=True)
            await asyncio.sleep(CONFIRM_S)
            await node.refresh()
            if is_last or not _is_joined(node, view):
                return await _confirmed(node, me, span)
        await asyncio.sleep(LOOK_EVERY_S)


def _is_joined(node: ChainNode, view: View) -> bool:
    """By somebody who chooses now as well, and was not counted when the blocks were shared."""
    return any((seen.place.server, None) not in view for seen in node.others() if not seen.is_firm)


async def _confirmed(node: ChainNode, me: Place, span: BlockSpan) -> BlockSpan:
    """Of two that promised the same at the same moment, the one with the larger id yields."""
    promised = replace(me, span=span)
    settled = [seen.place for seen in node.others() if seen.is_firm and not _yields(seen, promised)]
    best = better_span(node.layers, settled, promised)
    await node.promise(best, firm=True)
    return best


def _yields(other: Seen, me: Place) -> bool:
    """It promised some of the same blocks, and has not begun to serve them."""
    theirs, ours = other.place.span, me.span
    overlaps = theirs is not None and ours is not None and theirs.start < ours.end and ours.start < theirs.end
    return overlaps and not other.is_serving and other.place.server > me.server


def _share(node: ChainNode, me: Place) -> tuple[BlockSpan, View]:
    """This node's part where all that are still open share what is not settled; and what that was worked out from."""
    others = node.others()
    settled = [seen.place for seen in others if seen.is_firm]
    open_ = [replace(seen.place, span=None) for seen in others if not seen.is_firm]
    view = frozenset((place.server, place.span) for place in (*settled, *open_))
    return arrange(node.layers, settled, [*open_, me])[me.server], view
