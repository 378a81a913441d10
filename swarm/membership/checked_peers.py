"""Which peers compute rightly, as this node found by computing their blocks again. Pure; forgotten with the daemon."""

from __future__ import annotations

from dataclasses import dataclass

from swarm.domain.events import PeerCheck
from swarm.domain.nodes import CheckRecord

OWED, MOST_OWED = 2, 6
"""Right answers that a server owes after each wrong one, and at most, before routes go through it again."""
FORGIVEN_S = 1800.0
"""After the last wrong answer: a machine that cannot be checked any more is given another chance."""
FORGOTTEN_S = 7200.0
"""After the last check at all."""


@dataclass(slots=True)
class _Row:
    checked_at: float
    wrong_at: float = 0.0
    agreed: int = 0
    wrong: int = 0
    owed: int = 0
    difference: float = 0.0


class CheckedPeers:
    """By libp2p id, which is proven, and not by the node's own word. `now` is of the daemon's clock, in seconds."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}

    def hear(self, check: PeerCheck, now: float) -> None:
        row = self._rows.setdefault(check.server, _Row(now))
        row.checked_at, row.difference = now, check.difference
        if check.agrees:
            row.agreed, row.owed = row.agreed + 1, max(0, row.owed - 1)
        else:
            row.wrong, row.owed, row.wrong_at = row.wrong + 1, min(row.owed + OWED, MOST_OWED), now
        self._rows = {server: row for server, row in self._rows.items() if now - row.checked_at < FORGOTTEN_S}

    def avoided(self, now: float) -> tuple[str, ...]:
        """Servers that no route may go through, those first that were not checked for longest."""
        found = [(row.checked_at, server) for server, row in self._rows.items() if _is_avoided(row, now)]
        return tuple(server for _, server in sorted(found))

    def record(self, server: str, now: float) -> CheckRecord | None:
        """None where it was never checked."""
        row = self._rows.get(server)
        if row is None:
            return None
        return CheckRecord(row.agreed, row.wrong, _is_avoided(row, now), row.difference, now - row.checked_at)


def _is_avoided(row: _Row, now: float) -> bool:
    return row.owed > 0 and now - row.wrong_at < FORGIVEN_S
