"""What waits for the model, and what of it runs next. Pure.

Single tokens of different sequences through the same part of the model run as one batch. Prompts are cut into pieces
that take some tens of milliseconds and alternate with the batches, so that nobody's tokens wait for another's prompt.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch

MOST_ROWS = 32
"""Tokens of one batch."""
PIECE_S = 0.03
"""What a piece of a prompt may take, by what the ones before it took."""
SMALLEST_PIECE, FIRST_PIECE, LARGEST_PIECE = 16, 64, 512
"""Tokens of a piece; the first where nothing is known yet."""
SPEED_SHARE = 0.3
"""Of the newest piece in the moving average of the time per token."""


class Work(Hashable, Protocol):
    """A part of the model. Equal ones are the same part: their tokens may run as one batch."""

    @property
    def model(self) -> Any:
        """What the work is part of: how fast it is, is remembered as long as this lives."""
        ...

    @property
    def size(self) -> int:
        """How much of it: layers, or 1."""
        ...

    def run_piece(self, sequence: Any, piece: torch.Tensor) -> torch.Tensor:
        """[rows, tokens, …] of one sequence, which follow what it was given before."""
        ...

    def run_rows(self, sequences: Sequence[Any], tokens: Sequence[torch.Tensor]) -> Sequence[torch.Tensor | Exception]:
        """[1, 1, …] of each of several sequences; an exception in the place of those that cannot go on."""
        ...

    def takes_rows(self, sequence: Any) -> bool:
        """Whether this sequence's next token may be part of a batch."""
        ...


@dataclass(slots=True, eq=False)
class Job:
    """Tokens [rows, tokens, …] of one sequence, and what came of those that are done."""

    work: Work
    sequence: Any
    input: torch.Tensor
    future: Future[torch.Tensor] = field(default_factory=Future)
    made: list[torch.Tensor] = field(default_factory=list)
    done_tokens: int = 0

    @property
    def tokens(self) -> int:
        return self.input.shape[1]

    @property
    def is_prompt(self) -> bool:
        return self.tokens > 1 or self.input.shape[0] > 1 or not self.work.takes_rows(self.sequence)


class WaitingLine:
    """Not safe for threads.

    Batches and pieces of prompts take turns; the prompts among themselves, too."""

    def __init__(self) -> None:
        self._tokens: deque[Job] = deque()
        self._prompts: deque[Job] = deque()
        self._prompt_is_next = False
        self._unit_s: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self._tokens) + len(self._prompts)

    def add(self, job: Job) -> None:
        (self._prompts if job.is_prompt else self._tokens).append(job)

    def next(self) -> list[Job]:
        """Jobs that run as one batch, or one prompt of which a piece runs; not empty while the line is not."""
        if self._prompts and (self._prompt_is_next or not self._tokens):
            self._prompt_is_next = False
            return [self._prompts.popleft()]
        self._prompt_is_next = True
        if not self._tokens:
            return []
        work = self._tokens[0].work
        batch, rest = list[Job](), deque[Job]()
        for job in self._tokens:
            (batch if job.work == work and len(batch) < MOST_ROWS else rest).append(job)
        self._tokens = rest
        return batch

    def piece_tokens(self, job: Job) -> int:
        """How many tokens of a prompt to run now."""
        left = job.tokens - job.done_tokens
        unit_s = self._unit_s.get(job.work.model)
        fitting = FIRST_PIECE if unit_s is None else int(PIECE_S / max(unit_s * job.work.size, 1e-9))
        return min(left, max(SMALLEST_PIECE, min(LARGEST_PIECE, fitting)))

    def note_piece(self, work: Work, tokens: int, seconds: float) -> None:
        now, before = seconds / (tokens * work.size), self._unit_s.get(work.model)
        self._unit_s[work.model] = now if before is None else before + SPEED_SHARE * (now - before)
