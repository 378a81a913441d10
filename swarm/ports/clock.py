"""Time and chance, so that nothing below `host` reads them by itself."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Monotonic time in s."""
        ...

    def wall(self) -> float:
        """Unix time in s; may jump."""
        ...

    async def sleep(self, seconds: float) -> None: ...
