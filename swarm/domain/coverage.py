"""How often the blocks of a model are served, and in words what is missing and what would fill it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from swarm.domain.nodes import BlockSpan, Coverage, Stretch

ROOM_FOR_CACHES = 1 / 0.7
"""Memory that a node should have for each byte of weights: the rest is for attention caches."""


def coverage_of(served: Iterable[BlockSpan], layers: int, block_bytes: int = 0) -> Coverage:
    """`served`: the blocks of each node, one span a node."""
    counts = [0] * layers
    for span in served:
        for index in range(span.start, min(span.end, layers)):
            counts[index] += 1
    stretches, start = [], 0
    for count, run in groupby(counts):
        end = start + len(list(run))
        stretches.append(Stretch(BlockSpan(start, end), count))
        start = end
    return Coverage(tuple(stretches), block_bytes)


def what_is_unserved(missing: tuple[BlockSpan, ...], block_bytes: int = 0) -> str:
    """`blocks 0:2, 4:6 are not served by anyone; start 2 more nodes with --blocks 0:2 (1.2 GiB) and …`."""
    if not missing:
        return "the blocks of the model are not all served yet"
    spans = ", ".join(map(str, missing))
    is_one = len(missing) == 1 and len(missing[0]) == 1
    more = "one more node" if len(missing) == 1 else f"{len(missing)} more nodes"
    wanted = " and ".join(f"--blocks {span}{_needs(span, block_bytes)}" for span in missing)
    subject = f"block {spans} is" if is_one else f"blocks {spans} are"
    return f"{subject} not served by anyone; start {more} with {wanted}"


def strength(coverage: Coverage) -> str:
    """`each block is served by at least 2 nodes; any one of them may die`."""
    if not coverage.stretches or coverage.missing:
        return what_is_unserved(coverage.missing, coverage.block_bytes)
    if not coverage.survives:
        alone = [stretch.span for stretch in coverage.stretches if stretch.nodes == 1]
        spans = ", ".join(map(str, alone))
        noun = "block" if len(alone) == 1 and len(alone[0]) == 1 else "blocks"
        verb = "is" if noun == "block" else "are"
        return f"{noun} {spans} {verb} served by one node only, whose death would stop the model"
    least = coverage.survives + 1
    may_die = "any one of them" if coverage.survives == 1 else f"any {coverage.survives} of them"
    return f"each block is served by at least {least} nodes; {may_die} may die"


def size_in_words(count: float) -> str:
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count / 1024:.0f} KiB"


def _needs(span: BlockSpan, block_bytes: int) -> str:
    return f" ({size_in_words(len(span) * block_bytes * ROOM_FOR_CACHES)} of memory)" if block_bytes else ""
