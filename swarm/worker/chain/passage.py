"""A step of one token, or of a prompt, through all legs of a sequence while nothing goes wrong.

Whichever thread completes the work of a leg begins that of the next: the one that runs the model, or the chain's loop.
The session's own thread sleeps until the end, so that it is woken once a token. It takes the step over where a leg
fails or is late.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import torch

from swarm.worker.chain.attempts import Attempt, HopFailed, Leg
from swarm.worker.failures import Cancelled

LOOK_EVERY_S = 0.1
"""How often the session's thread looks whether it is cancelled or a leg is late."""
Leave = Callable[[torch.Tensor], Future[torch.Tensor]]
"""What is done with the hidden states after the last leg."""


class Passage:
    """Used once. After `result` gave nothing, `leg` is in trouble with `hidden`: `attempt` is its own, and `failure`
    says why where it has ended."""

    def __init__(self, legs: Sequence[Leg], leave: Leave) -> None:
        self._todo, self._leave = list(reversed(legs)), leave
        self._lock, self._is_over = threading.RLock(), threading.Event()
        self._is_taken = False
        self._broken: BaseException | None = None
        self._left: Future[torch.Tensor] | None = None
        self.hidden: torch.Tensor
        self.attempt: Attempt | None = None
        self.failure: HopFailed | None = None

    @property
    def leg(self) -> Leg:
        return self._todo[-1]

    def begin(self, entering: Future[torch.Tensor]) -> None:
        """With [1, tokens, hidden], once they are there."""
        entering.add_done_callback(lambda done: self._guarded(lambda: self._enter(done.result())))

    def result(self, is_cancelled: Callable[[], bool]) -> torch.Tensor | None:
        """What `leave` made of it; None where a leg is in trouble. Raises `Cancelled`, and what a step here raises."""
        while not self._is_over.wait(LOOK_EVERY_S):
            with self._lock:
                if self._is_over.is_set():
                    break
                if is_cancelled():
                    self._is_taken = True
                    raise Cancelled
                if self.attempt and self.attempt.late_at <= time.monotonic():
                    self._is_taken = True
                    return None
        if self._broken is not None:
            raise self._broken
        return self._left.result() if self._left else None

    def _enter(self, hidden: torch.Tensor) -> None:
        self.hidden = hidden
        if self._todo:
            self.attempt = Attempt([self.leg], hidden)
            self._watch(self.attempt)
        else:
            self.attempt = None
            left = self._leave(hidden)
            left.add_done_callback(lambda _: self._end(left))

    def _watch(self, attempt: Attempt) -> None:
        attempt.pending.add_done_callback(lambda _: self._guarded(lambda: self._go_on(attempt)))

    def _go_on(self, attempt: Attempt) -> None:
        made = attempt.advance()
        if made is None:
            self._watch(attempt)
        else:
            self._todo.pop()
            self._enter(made)

    def _end(self, left: Future[torch.Tensor]) -> None:
        self._left = left
        self._is_over.set()

    def _guarded(self, go_on: Callable[[], None]) -> None:
        with self._lock:
            if self._is_taken:
                return
            try:
                go_on()
                return
            except HopFailed as error:
                self.failure = error
            except BaseException as error:
                self._broken = error
            self._is_taken = True
            self._is_over.set()
