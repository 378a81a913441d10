"""What waits for the model, and what of it runs next. Pure.

Single tokens of different sequences through the same part of the model run as one batch, for which those wait a little
that ran together before. Prompts are cut into pieces that take some tens of milliseconds and alternate with the
batches, so that nobody's tokens wait for another's prompt.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch

from swarm.worker.compute.company import Companies
from swarm.worker.compute.step import Step

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
    future: Step = field(default_factory=Step)
    made: list[torch.Tensor] = field(default_factory=list)
    done_tokens: int = 0
    came_at: float = 0.0
    """To the line, by its clock."""

    @property
    def tokens(self) -> int:
        return self.input.shape[1]

    @property
    def is_prompt(self) -> bool:
        return self.tokens > 1 or self.input.shape[0] > 1 or not self.work.takes_rows(self.sequence)


class WaitingLine:
    """Not safe for threads.

    Batches and pieces of prompts take turns; the prompts among themselves, too."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._tokens: dict[Work, list[Job]] = {}
        self._prompts: deque[Job] = deque()
        self._prompt_is_next = False
        self._unit_s: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
        self._companies = Companies()

    def __len__(self) -> int:
        return sum(map(len, self._tokens.values())) + len(self._prompts)

    def add(self, job: Job) -> None:
        job.came_at = self._now()
        if job.is_prompt:
            self._prompts.append(job)
        else:
            self._tokens.setdefault(job.work, []).append(job)

    def pause_s(self) -> float:
        """How long nothing should run yet, since more is about to come for the same step; 0 where something may."""
        if self._prompts or not self._tokens:
            return 0.0
        return max(0.0, min(map(self._due_at, self._tokens.values())) - self._now())

    def next(self) -> list[Job]:
        """Jobs that run as one batch, or one prompt of which a piece runs; not empty while the line is not."""
        if self._prompts and (self._prompt_is_next or not self._tokens):
            self._prompt_is_next = False
            return [self._prompts.popleft()]
        self._prompt_is_next = True
        if not self._tokens:
            return []
        work = min(self._tokens, key=lambda work: self._due_at(self._tokens[work]))
        jobs = self._tokens.pop(work)
        if jobs[MOST_ROWS:]:
            self._tokens[work] = jobs[MOST_ROWS:]
        return jobs[:MOST_ROWS]

    def _due_at(self, jobs: Sequence[Job]) -> float:
        if len(jobs) >= MOST_ROWS:
            return jobs[MOST_ROWS - 1].came_at
        return self._companies.complete_at([(job.sequence, job.came_at) for job in jobs])

    def note_batch(self, jobs: Sequence[Job], seconds: float) -> None:
        """These ran as one step."""
        self._companies.note([job.sequence for job in jobs], seconds)

    def piece_tokens(self, job: Job) -> int:
        """How many tokens of a prompt to run now."""
        left = job.tokens - job.done_tokens
        unit_s = self._unit_s.get(job.work.model)
        fitting = FIRST_PIECE if unit_s is None else int(PIECE_S / max(unit_s * job.work.size, 1e-9))
        return min(left, max(SMALLEST_PIECE, min(LARGEST_PIECE, fitting)))

    def note_piece(self, work: Work, tokens: int, seconds: float) -> None:
        now, before = seconds / (tokens * work.size), self._unit_s.get(work.model)
        self._unit_s[work.model] = now if before is None else before + SPEED_SHARE * (now - before)
