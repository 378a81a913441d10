"""Bytes of a checkpoint that are not on this machine yet: the daemon is asked for them, and waited for."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from swarm.domain.weights import FileRange
from swarm.wire.worker_commands import WeightsReady
from swarm.wire.worker_events import NeedWeights
from swarm.worker.failures import LoadFailure


class MissingWeights:
    """Safe from any thread."""

    def __init__(self, send: Callable[[NeedWeights], None]) -> None:
        self._send = send
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Future[str | None]] = {}
        self._lock = threading.Lock()
        self._is_closed = False

    def get(self, ranges: Sequence[FileRange]) -> None:
        """Blocks until all of them are in their files. Raises `LoadFailure` with the daemon's reason."""
        answer: Future[str | None] = Future()
        with self._lock:
            number = next(self._numbers)
            self._waiting[number] = answer
            if self._is_closed:
                answer.set_result("The worker ends")
        self._send(NeedWeights(number, tuple(ranges)))
        if (problem := answer.result()) is not None:
            raise LoadFailure(problem, permanent=False)

    def arrived(self, message: WeightsReady) -> None:
        with self._lock:
            answer = self._waiting.pop(message.id, None)
        if answer is not None:
            answer.set_result(message.problem)

    def close(self) -> None:
        """Lets go whoever waits."""
        with self._lock:
            self._is_closed = True
            waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            answer.set_result("The worker ends")
