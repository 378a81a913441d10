"""The real time, and real chance."""

from __future__ import annotations

import asyncio
import secrets
import time

from swarm.domain.ids import BootId, RequestId


class SystemClock:
    """`ports.Clock` by the machine's own clocks."""

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def new_id() -> RequestId:
    """16 random bytes as hex: unique without asking anybody, and not to be guessed."""
    return RequestId(secrets.token_hex(16))


def new_boot_id() -> BootId:
    """8 random bytes as hex: short, because it travels in every mDNS record."""
    return BootId(secrets.token_hex(8))
