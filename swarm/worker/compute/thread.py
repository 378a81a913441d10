"""The one thread that runs the model: what waits for it is taken as it stands whenever it gets free."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import CancelledError
from typing import Any

import torch

from swarm.worker.compute.line import SMALLEST_PIECE, Job, WaitingLine, Work
from swarm.worker.compute.step import Step
from swarm.worker.compute.turn import Turn


class Compute:
    """Runs jobs in a thread of its own, which starts with the first."""

    def __init__(self) -> None:
        self.turn = Turn()
        """Taken for each step; other threads that use torch for a token take it as well."""
        self._line = WaitingLine()
        self._news: deque[Job | None] = deque()
        self._wake = threading.Semaphore(0)
        self._thread: threading.Thread | None = None
        self._has_ended = False
        self._lock = threading.Lock()

    def close(self) -> None:
        """What still waits is cancelled, and so is what is begun from now on."""
        self._put(None)

    def begin(self, work: Work, sequence: Any, tokens: torch.Tensor) -> Step:
        """From any thread. A sequence's next job is begun after the one before it is done."""
        job = Job(work, sequence, tokens)
        self._put(job)
        return job.future

    def _put(self, job: Job | None) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="compute", daemon=True)
                self._thread.start()
            self._news.append(job)
            if self._has_ended:
                self._drop_all()
        self._wake.release()

    def _run(self) -> None:
        while self._take_news(self._line.pause_s() if self._line else None):
            if self._line.pause_s() == 0:
                self._run_next()
        with self._lock:
            self._has_ended = True
            self._drop_all()

    def _drop_all(self) -> None:
        for job in filter(None, self._news):
            self._line.add(job)
        self._news.clear()
        while jobs := self._line.next():
            for job in jobs:
                _drop(job)

    def _run_next(self) -> None:
        # A function of its own, so that nothing of the last step is held while there is none.
        jobs = [job for job in self._line.next() if job.done_tokens or job.future.set_running_or_notify_cancel()]
        if jobs and jobs[0].is_prompt:
            self._run_piece(jobs[0])
        elif jobs:
            with self.turn:
                seconds = _run_rows(jobs)
            self._line.note_batch(jobs, seconds)

    def _take_news(self, wait_s: float | None) -> bool:
        """Puts all that came into the line, for which it waits so long, or for ever; False when the end has come."""
        while self._wake.acquire(wait_s != 0, wait_s or None):
            wait_s = 0.0
            job = self._news.popleft()
            if job is None:
                return False
            self._line.add(job)
        return True

    def _run_piece(self, job: Job) -> None:
        tokens, start = self._line.piece_tokens(job), job.done_tokens
        began = time.perf_counter()
        try:
            job.made.append(job.work.run_piece(job.sequence, job.input[:, start : start + tokens]))
        except BaseException as error:
            job.future.set_exception(error)
            return
        seconds = time.perf_counter() - began
        job.done_tokens += tokens
        job.future.compute_s = (job.future.compute_s or 0.0) + seconds
        if tokens >= SMALLEST_PIECE:
            self._line.note_piece(job.work, tokens, seconds)
        if job.done_tokens < job.tokens:
            self._line.add(job)
        else:
            job.future.set_result(job.made[0] if len(job.made) == 1 else torch.cat(job.made, dim=1))


def _drop(job: Job) -> None:
    if job.future.cancel():
        job.future.set_running_or_notify_cancel()  # else who waits for several is not told
    else:
        job.future.set_exception(CancelledError())


def _run_rows(jobs: Sequence[Job]) -> float:
    """Seconds that the model took."""
    began = time.perf_counter()
    try:
        made = jobs[0].work.run_rows([job.sequence for job in jobs], [job.input for job in jobs])
    except BaseException as error:
        for job in jobs:
            job.future.set_exception(error)
        return time.perf_counter() - began
    seconds = time.perf_counter() - began
    for job, result in zip(jobs, made, strict=True):
        job.future.compute_s = seconds
        if isinstance(result, Exception):
            job.future.set_exception(result)
        else:
            job.future.set_result(result)
    return seconds
