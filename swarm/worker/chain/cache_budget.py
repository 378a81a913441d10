"""How much memory the sessions of other nodes may hold here."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


class CacheFull(Exception):
    """There is no room for what a session is about to hold; the client takes another route."""


class SpanCache:
    """Accounts for the attention caches of all sessions, so that together they stay within a budget.

    What a session holds is counted, not what it may grow to: a request without `max_tokens` may grow to the model's
    whole context, for which few machines have room."""

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes, self.used_bytes = budget_bytes, 0
        self._lock = threading.Lock()

    @property
    def bytes_left(self) -> int:
        return self.budget_bytes - self.used_bytes

    @contextlib.contextmanager
    def session(self) -> Iterator[Callable[[int], None]]:
        """Gives a function, for any thread, that takes bytes for the session; all come back when the block is left."""
        taken, is_open = 0, True

        def take(size_bytes: int) -> None:
            nonlocal taken
            with self._lock:
                if not is_open or size_bytes > self.bytes_left:
                    raise CacheFull(f"attention cache is full: {size_bytes} bytes asked, {self.bytes_left} left")
                self.used_bytes += size_bytes
                taken += size_bytes

        try:
            yield take
        finally:
            with self._lock:
                self.used_bytes -= taken
                is_open = False
