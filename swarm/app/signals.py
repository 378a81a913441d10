"""SIGINT and SIGTERM ask the daemon to stop; a second one ends it at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def stop_requested(on_second: Callable[[], None]) -> Iterator[asyncio.Event]:
    """The event is set by the first signal. The second calls `on_second` and exits with 128 + its number."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def hear(number: signal.Signals) -> None:
        if stop.is_set():
            on_second()
            os._exit(128 + number)
        logger.info("stopping", extra={"fields": {"signal": number.name}})
        stop.set()

    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, hear, number)
    try:
        yield stop
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
