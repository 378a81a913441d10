"""A limit in bytes a second, kept by waiting."""

from __future__ import annotations

import math

from swarm.ports.clock import Clock


class RateLimit:
    """Whole pieces at a time: what came before is paid before the next may pass."""

    def __init__(self, bytes_per_s: float, clock: Clock) -> None:
        self._bytes_per_s = bytes_per_s or math.inf
        self._clock = clock
        self._free_at = -math.inf

    async def wait_for(self, count: int) -> None:
        """Until `count` bytes may pass."""
        now = self._clock.now()
        start = max(now, self._free_at)
        self._free_at = start + count / self._bytes_per_s
        if start > now:
            await self._clock.sleep(start - now)
