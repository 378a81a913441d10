"""A small document in the data folder that follows what is in memory: written soon after a change, and never often."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from swarm.ports.clock import Clock

logger = logging.getLogger(__name__)

WRITE_EVERY_S = 30.0


class KeptDocument:
    """`write` puts it on the disk, off the event loop; it may wait, and may raise `OSError`."""

    def __init__(self, what: str, write: Callable[[Mapping[str, Any]], None], clock: Clock) -> None:
        self._what, self._write, self._clock = what, write, clock
        self._has_changed = asyncio.Event()
        self._has_failed = False

    def changed(self) -> None:
        self._has_changed.set()

    async def run(self, document: Callable[[], Mapping[str, Any]]) -> None:
        """Never returns; what has changed is still written when it is cancelled."""
        try:
            while True:
                await self._has_changed.wait()
                await self._save(document())
                await self._clock.sleep(WRITE_EVERY_S)
        finally:
            if self._has_changed.is_set():
                await asyncio.shield(self._save(document()))

    async def _save(self, document: Mapping[str, Any]) -> None:
        self._has_changed.clear()
        try:
            await asyncio.to_thread(self._write, document)
        except OSError as error:
            if not self._has_failed:
                fields = {"what": self._what, "problem": error.strerror or type(error).__name__}
                logger.warning("a document could not be written; the next start may miss it", extra={"fields": fields})
            self._has_failed = True
        else:
            self._has_failed = False
