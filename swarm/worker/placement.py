"""Which node serves which blocks: none is missing, each is served twice, the slowest stretch gets help. Pure.

Every node works this out by itself from what all announce. Nodes that see the same announcements come to the same
result, so that nobody has to lead: what two nodes would do at once is ordered by their ids.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from swarm.domain.nodes import BlockSpan

ENOUGH = 2
"""Nodes for each block: one may die. More are welcome where the blocks are slow, and nowhere else."""
DEFAULT_BLOCK_S = 0.01
"""Of a node that says nothing of its speed, to planner and routes: it may not have measured itself yet."""
SLOWEST_LINK_S = 60.0
"""What may be claimed of a way to a node; all beyond is taken for this."""
STEP = 1.25
"""Differences of speed below this factor are noise, not a reason to choose."""
CLEAR_STEPS = 2
"""So many such steps must the slowest stretch gain before a node moves for speed alone (Petals' balance quality)."""


@dataclass(frozen=True, slots=True)
class Place:
    """A node as the planner sees it."""

    server: str
    """Its libp2p id; orders what would else be a tie."""
    span: BlockSpan | None
    """What it serves, or has promised to; None where that is still open."""
    capacity: int
    """Blocks that fit into its memory."""
    block_s: float = DEFAULT_BLOCK_S
    """Seconds for one token in one of its blocks."""
    link_s: float = 0.0
    """Seconds from others to it and back: see `links_of`."""
    movable: bool = False
    """It chose its blocks by itself, and has not all of them."""

    def rate(self, blocks: int) -> float:
        """Tokens a second that it can send through so many of its blocks."""
        return 1.0 / (blocks * max(self.block_s, 1e-6) + max(self.link_s, 0.0))


@dataclass(frozen=True, slots=True, order=True)
class Score:
    """How well a model is served; smaller is better, and the first number that differs decides."""

    missing: int
    """Blocks that nobody serves."""
    single: int
    """Blocks that one node alone serves."""
    slowness: int
    """Of the slowest block, in steps of `STEP`: its servers' tokens a second together, as a negative logarithm."""


@dataclass(frozen=True, slots=True)
class Move:
    server: str
    span: BlockSpan
    score: Score
    """Of the swarm afterwards."""


class _Cover:
    """How often, and how fast, each block is served by a number of nodes."""

    def __init__(self, places: Iterable[Place], layers: int) -> None:
        self.layers = layers
        self.counts, self.rates = [0] * layers, [0.0] * layers
        # In a fixed order, so that sums of floats are the same at every node.
        for place in sorted(places, key=lambda place: place.server):
            if place.span is None:
                continue
            rate = place.rate(max(1, len(place.span)))
            for index in range(place.span.start, min(place.span.end, layers)):
                self.counts[index] += 1
                self.rates[index] += rate

    def score(self) -> Score:
        return Score(self.counts.count(0), self.counts.count(1), _slowness(min(self.rates, default=0.0)))

    def best_span(self, place: Place) -> tuple[Score, BlockSpan]:
        """Where one more node helps most; of equal spans the longest, the nearest to what it has, the first."""
        missing, single = _sums(self.counts, 0), _sums(self.counts, 1)
        longest = max(1, min(place.capacity, self.layers))
        counted: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for length in range(1, longest + 1):
            for start in range(self.layers - length + 1):
                gaps, alone = missing(start, start + length), single(start, start + length)
                key = (missing(0, self.layers) - gaps, single(0, self.layers) - alone + gaps)
                counted.setdefault(key, []).append((start, length))
        best = min(counted)
        return min(
            (
                (Score(*best, self._slowness_with(place, start, length)), BlockSpan(start, start + length))
                for start, length in counted[best]
            ),
            key=lambda way: (way[0], -len(way[1]), _newcomers(place.span, way[1]), way[1].start),
        )

    def _slowness_with(self, place: Place, start: int, length: int) -> int:
        rate = place.rate(length)
        inside = min(self.rates[start : start + length]) + rate
        before = min(self.rates[:start], default=math.inf)
        after = min(self.rates[start + length :], default=math.inf)
        return _slowness(min(inside, before, after))


def links_of(measured: Iterable[Mapping[str, float]]) -> Mapping[str, float]:
    """By server, the median of what all measured to it. By its own view each node would be the nearest, so that two
    would take the first turn."""
    by_server: dict[str, list[float]] = {}
    for pings in measured:
        for server, seconds in pings.items():
            by_server.setdefault(server, []).append(min(seconds, SLOWEST_LINK_S))
    return {server: statistics.median_low(seconds) for server, seconds in by_server.items()}


def score_of(layers: int, places: Iterable[Place]) -> Score:
    return _Cover(places, layers).score()


def choose_span(layers: int, others: Sequence[Place], place: Place) -> BlockSpan:
    """Which blocks, and how many of those that fit, this node should serve beside the others."""
    return _Cover(others, layers).best_span(place)[1]


def better_span(layers: int, others: Sequence[Place], place: Place) -> BlockSpan:
    """The blocks that this node has promised, unless others leave more or weaker ones unserved."""
    assert place.span is not None
    now = _Cover([*others, place], layers).score()
    score, span = _Cover(others, layers).best_span(place)
    return span if (score.missing, score.single) < (now.missing, now.single) else place.span


def arrange(layers: int, settled: Sequence[Place], open_: Sequence[Place]) -> Mapping[str, BlockSpan]:
    """Spans for all nodes of `open_` together; those of `settled` stay.

    The roomiest first, each where it helps most; then each looks again at what the others took. Of equal nodes the one
    that now serves the earlier blocks comes first, as it may have to load less."""
    order = sorted(open_, key=lambda place: (-place.capacity, place.span.start if place.span else 0, place.server))
    order = [replace(place, span=None) for place in order]
    placed: dict[str, Place] = {}
    for place in order:
        placed[place.server] = replace(place, span=choose_span(layers, [*settled, *placed.values()], place))
    for _ in order:
        before = dict(placed)
        for place in order:
            _look_again(layers, settled, placed, place.server)
        if placed == before:
            break
    return {server: place.span for server, place in placed.items() if place.span is not None}


def _look_again(layers: int, settled: Sequence[Place], placed: dict[str, Place], server: str) -> None:
    others = [*settled, *(place for place in placed.values() if place.server != server)]
    now = _Cover([*others, placed[server]], layers).score()
    score, span = _Cover(others, layers).best_span(placed[server])
    if score < now:
        placed[server] = replace(placed[server], span=span)


def plan_moves(layers: int, places: Sequence[Place]) -> tuple[Move, ...]:
    """Moves of single nodes that clearly help, the best first; the first node acts, and the others only if it does not.

    No move leaves a block unserved that is served now. Where blocks are missing and no single move can help, all
    movable nodes are arranged anew: then nothing can be lost by it."""
    now = _Cover(places, layers).score()
    moves = [
        move
        for place in places
        if place.movable and place.span is not None
        if (move := _move_of(layers, places, place, now)) is not None
    ]
    if now.missing and not any(move.score.missing < now.missing for move in moves):
        moves = _rearranged(layers, places, now) or moves
    spans = {place.server: place.span for place in places}
    return tuple(sorted(moves, key=lambda move: (move.score, _newcomers(spans[move.server], move.span), move.server)))


def _move_of(layers: int, places: Sequence[Place], place: Place, now: Score) -> Move | None:
    others = _Cover([other for other in places if other.server != place.server], layers)
    score, span = others.best_span(place)
    assert place.span is not None
    left = set(range(place.span.start, place.span.end)) - set(range(span.start, span.end))
    if not is_clearly_better(score, now) or any(others.counts[index] == 0 for index in left if index < layers):
        return None
    return Move(place.server, span, score)


def _rearranged(layers: int, places: Sequence[Place], now: Score) -> list[Move]:
    settled = [place for place in places if not place.movable]
    target = arrange(layers, settled, [place for place in places if place.movable])
    arranged = [replace(place, span=target.get(place.server, place.span)) for place in places]
    score = _Cover(arranged, layers).score()
    if score.missing >= now.missing:
        return []
    return [Move(place.server, target[place.server], score) for place in places if _differs(place, target)]


def _differs(place: Place, target: Mapping[str, BlockSpan]) -> bool:
    return place.server in target and target[place.server] != place.span


def is_clearly_better(after: Score, before: Score) -> bool:
    """More blocks served, more of them twice, or a slowest stretch that gains more than noise."""
    if (after.missing, after.single) != (before.missing, before.single):
        return (after.missing, after.single) < (before.missing, before.single)
    return before.slowness - after.slowness >= CLEAR_STEPS


def _newcomers(held: BlockSpan | None, span: BlockSpan) -> int:
    """Blocks of `span` that would have to be loaded."""
    if held is None:
        return len(span)
    return len(span) - max(0, min(held.end, span.end) - max(held.start, span.start))


def _sums(counts: Sequence[int], wanted: int) -> Callable[[int, int], int]:
    """A function that counts the blocks of start:end which are served so often."""
    totals = [0]
    for count in counts:
        totals.append(totals[-1] + (count == wanted))
    return lambda start, end: totals[end] - totals[start]


def _slowness(tokens_per_s: float) -> int:
    """0 where a block is missing: nothing is slow there, and `missing` has said it."""
    return -round(math.log(tokens_per_s, STEP)) if tokens_per_s > 0 else 0
