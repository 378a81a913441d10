"""Is every block of the daemon's model served, and how many machines may die?"""

from __future__ import annotations

from collections.abc import Iterator

from swarm.doctor.finding import Finding, note, ok, problem
from swarm.domain.coverage import strength
from swarm.domain.nodes import Coverage


def judge_coverage(coverage: Coverage | None) -> Iterator[Finding]:
    """As the daemon of this machine says; nothing where none runs or its model is in no chain."""
    if coverage is None or not coverage.stretches:
        return
    seen = f"served: {', '.join(f'{stretch.span} by {stretch.nodes}' for stretch in coverage.stretches)}"
    if coverage.missing:
        fix = f"python main.py --auto --blocks {coverage.missing[0]}   (on one more machine)"
        yield problem("coverage", strength(coverage), seen, fix)
    elif coverage.survives:
        yield ok("coverage", strength(coverage), seen)
    else:
        yield note("coverage", strength(coverage), seen, "start the same command on one more machine")
