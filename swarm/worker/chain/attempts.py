"""Hidden states on their way through hops, piece by piece, without a thread that waits for each."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import CancelledError
from typing import Protocol

import torch

from swarm.worker.chain.measures import Measures
from swarm.worker.chain.routing import Hop
from swarm.worker.compute.step import Step

CHUNK_TOKENS = 512
"""A longer prompt is sent in pieces: a server refuses more than some thousand tokens in one step."""
PATIENCE = 8.0
"""A step that takes this many times what it should is late: something else is tried beside it."""
SHORTEST_PATIENCE_S, ENOUGH_PATIENCE_S = 1.0, 2.0
"""Never late before the first; beyond the second, twice the expected time is enough to be late."""
SUSPECT_PATIENCE_S = 0.3
"""Of a server whose machine does not answer the daemon's probes either."""
BUSY_PATIENCE, MOST_LENIENCY = 2.0, 4.0
"""A server that was late and answered before the others is given this many times more from then on, up to the second:
it may hang later all the same."""


class Runner(Protocol):
    """Runs the blocks of one hop for one sequence."""

    def begin(self, hidden: torch.Tensor) -> Step:
        """Starts a step with [1, tokens, hidden]; the next one only after this one is done."""
        ...

    def close(self) -> None:
        """Ends the sequence there; does not wait for it."""
        ...


class HopFailed(Exception):
    """The server of a hop did not answer, or answered nonsense."""


class Leg:
    """A hop with its runner and, where it may be lost, all that it was fed, as [1, tokens, hidden] pieces."""

    def __init__(self, hop: Hop, runner: Runner, measures: Measures) -> None:
        self.hop, self._runner, self._measures = hop, runner, measures
        self._fed: list[torch.Tensor] = []
        self._leniency = 1.0
        self.last_step_s = 0.0
        self.last_compute_s: float | None = None
        """Of that step, what its blocks took; None where the server does not say."""
        measures.opened(hop.server)

    def begin(self, piece: torch.Tensor) -> Step:
        return self._runner.begin(piece)

    def keep(self, hidden: torch.Tensor) -> None:
        """What the leg was fed and has answered. This process's own blocks are not lost but with the session."""
        if self.hop.server is not None:
            self._fed.append(hidden)

    def history(self, hidden: torch.Tensor) -> torch.Tensor:
        """All that another leg must be fed to take this one's place, up to and with `hidden`."""
        return torch.cat([*self._fed, hidden], dim=1)

    @property
    def name(self) -> str:
        """The node's id, or its libp2p id where it says none."""
        return self.hop.node or self.hop.server or "this node"

    @property
    def history_bytes(self) -> int:
        return sum(piece.nbytes for piece in self._fed)

    def patience_s(self, tokens: int) -> float:
        """How long a step of `tokens` may take before it is late."""
        if self.hop.server is None:
            return float("inf")
        expected = self._measures.expected_s(self.hop.offer, len(self.hop.span), tokens)
        if self._measures.is_suspect(self.hop.server):
            return max(SUSPECT_PATIENCE_S, 2 * expected)
        late = min(PATIENCE * expected, max(ENOUGH_PATIENCE_S, 2 * expected))
        return self._leniency * max(SHORTEST_PATIENCE_S, late)

    def was_only_busy(self) -> None:
        self._leniency = min(MOST_LENIENCY, self._leniency * BUSY_PATIENCE)

    def note(self, tokens: int, seconds: float, compute_s: float | None) -> None:
        self.last_step_s, self.last_compute_s = seconds, compute_s
        self._measures.stepped(self.hop.offer, len(self.hop.span), tokens, seconds, compute_s)

    def note_failure(self) -> None:
        if self.hop.server is not None:
            self._measures.failed(self.hop.server)

    def close(self) -> None:
        self._measures.closed(self.hop.server)
        self._runner.close()


class Attempt:
    """`hidden` on its way through `legs`, one piece through one leg at a time. `pending` is done when it can go on."""

    def __init__(self, legs: Sequence[Leg], hidden: torch.Tensor) -> None:
        self.legs = tuple(legs)
        self._todo = deque(self.legs)
        self._enter(hidden)

    @property
    def servers(self) -> frozenset[str]:
        return frozenset(leg.hop.server for leg in self.legs if leg.hop.server)

    @property
    def leg(self) -> Leg:
        """Where it is now."""
        return self._todo[0]

    @property
    def late_at(self) -> float:
        return self._piece_at + self.leg.patience_s(self._pieces[0].shape[1])

    @property
    def piece_at(self) -> float:
        """When the step that is pending began; monotonic."""
        return self._piece_at

    @property
    def piece_tokens(self) -> int:
        return self._pieces[0].shape[1]

    def advance(self) -> torch.Tensor | None:
        """Takes the answer that `pending` holds; the result once all is through, else None. Raises `HopFailed`."""
        piece, leg = self._pieces.popleft(), self.leg
        made = _answer(self.pending, piece) if leg.hop.server is not None else self.pending.result()
        leg.note(piece.shape[1], time.monotonic() - self._piece_at, self.pending.compute_s)
        self._made.append(made)
        if self._pieces:
            self._begin()
            return None
        leg.keep(self._hidden)
        result = self._made[0] if len(self._made) == 1 else torch.cat(self._made, dim=1)
        self._todo.popleft()
        if not self._todo:
            return result
        self._enter(result)
        return None

    def close(self) -> None:
        self.pending.cancel()
        for leg in self.legs:
            leg.close()

    def _enter(self, hidden: torch.Tensor) -> None:
        self._hidden, self._pieces = hidden, deque(hidden.split(CHUNK_TOKENS, dim=1))
        self._made: list[torch.Tensor] = []
        self._begin()

    def _begin(self) -> None:
        self._piece_at = time.monotonic()
        self.pending = self.leg.begin(self._pieces[0])


def _answer(pending: Step, fed: torch.Tensor) -> torch.Tensor:
    try:
        made = pending.result(0)
    except (Exception, CancelledError) as error:  # `forget` cancels what waits for a server that is gone
        raise HopFailed(f"{type(error).__name__}: {error}") from error
    # A sum, since it is one operation: each of torch lets another thread have the interpreter.
    if made.shape != fed.shape or not math.isfinite(made.sum(dtype=torch.float64).item()):
        raise HopFailed("the answer has another shape or is not finite")
    return made
