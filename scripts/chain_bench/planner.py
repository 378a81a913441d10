"""What the planner decides for two to eight unlike machines, and after one of them dies: a simulation."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

from chain_bench.tables import print_table
from swarm.domain.coverage import coverage_of
from swarm.worker.placement import Place, arrange, plan_moves

LAYERS, BLOCK_GIB = 32, 0.45
"""A model of 7 billion parameters in bfloat16."""
MOVES = 20


@dataclass(frozen=True, slots=True)
class Machine:
    name: str
    memory_gib: float
    """What its weights may take."""
    block_ms: float
    link_ms: float = 0.3


MACHINES = (
    Machine("laptop", 6, 9.0, 3.0),
    Machine("desktop", 10, 5.0),
    Machine("gpu-12g", 9, 0.6),
    Machine("old-pc", 4, 14.0),
    Machine("mini", 5, 7.0),
    Machine("server", 20, 3.0),
    Machine("tablet", 2, 20.0, 5.0),
    Machine("gpu-8g", 6, 0.9),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--machines", type=int, nargs="+", default=list(range(2, len(MACHINES) + 1)))


def run(arguments: argparse.Namespace) -> None:
    rows = [_row(MACHINES[:count]) for count in arguments.machines]
    head = ["machines", "fit", "blocks", "each block served", "slowest block", "the roomiest dies: served", "moves"]
    print_table(head, rows)


def _row(machines: Sequence[Machine]) -> list[str]:
    places = _rested(_arranged([_place(machine) for machine in machines]))[0]
    victim = max(places, key=lambda place: place.capacity)
    after, moves = _rested([place for place in places if place is not victim])
    return [
        f"{len(machines)}, the last {machines[-1].name}",
        str(sum(place.capacity for place in places)),
        ", ".join(f"{place.server} {place.span}" for place in places),
        _served(places),
        f"{min(_rates(places)):.0f} tokens/s" if min(_rates(places)) else "–",
        f"{victim.server}: {_served(after)}",
        str(moves),
    ]


def _place(machine: Machine) -> Place:
    capacity = min(LAYERS, int(machine.memory_gib / BLOCK_GIB))
    seconds = machine.block_ms / 1000, machine.link_ms / 1000
    return Place(machine.name, None, capacity, *seconds, movable=True)


def _arranged(places: Sequence[Place]) -> list[Place]:
    """All started in the same second."""
    spans = arrange(LAYERS, [], places)
    return [replace(place, span=spans[place.server]) for place in places]


def _rested(places: Sequence[Place]) -> tuple[list[Place], int]:
    """After all moves that the planner makes, one after another; and how many."""
    now = [replace(place, movable=place.capacity < LAYERS) for place in places]
    for count in range(MOVES):
        moves = plan_moves(LAYERS, now)
        if not moves:
            return now, count
        now = [replace(place, span=moves[0].span) if place.server == moves[0].server else place for place in now]
    raise AssertionError(f"the planner does not come to rest: {now}")


def _served(places: Sequence[Place]) -> str:
    coverage = coverage_of((place.span for place in places if place.span), LAYERS)
    if coverage.missing:
        lacking = sum(map(len, coverage.missing))
        return f"{lacking} missing"
    once = sum(len(stretch.span) for stretch in coverage.stretches if stretch.nodes == 1)
    return f"{once} of {LAYERS} once, the rest more often" if once else f"{coverage.survives + 1} times or more"


def _rates(places: Sequence[Place]) -> list[float]:
    return [
        sum(
            place.rate(len(place.span)) for place in places if place.span and place.span.start <= index < place.span.end
        )
        for index in range(LAYERS)
    ]
