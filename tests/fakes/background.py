"""Something that runs for ever, while a test looks at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any


@asynccontextmanager
async def running(forever: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Raises what it raised by itself."""
    task = asyncio.create_task(forever)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
