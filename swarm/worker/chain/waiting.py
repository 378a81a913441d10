"""Tasks that wait for a server, so that they give up as soon as it is known to be gone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator


class Waiting:
    """By libp2p id; used on the chain's loop only."""

    def __init__(self) -> None:
        self._tasks: dict[str, set[asyncio.Task[object]]] = {}

    @contextlib.contextmanager
    def on(self, server: str) -> Iterator[None]:
        """While inside, `give_up` on this server cancels the current task."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.setdefault(server, set()).add(task)
        try:
            yield
        finally:
            self._tasks[server].discard(task)
            if not self._tasks[server]:
                del self._tasks[server]

    def give_up(self, server: str) -> None:
        for task in tuple(self._tasks.get(server, ())):
            task.cancel()
