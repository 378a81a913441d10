"""What this process logs goes to the daemon as events, so that fields, levels and traces keep their form."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any

from swarm.wire.worker_events import Logged

TEXT_LIMIT, TRACE_LIMIT = 2000, 20000
"""Characters; an exception may quote a whole tensor."""
LARGEST = 2**63 - 1
"""msgpack's numbers have 64 bits."""
NOISY = ("torchao", "torch.utils._pytree")
"""Warn at import of kernels for hardware that is not here."""


class LogChannel(logging.Handler):
    """Safe from any thread, as `send` is."""

    def __init__(self, send: Callable[[Logged], None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._send(logged(record))
        except Exception:  # what logging asks of a handler: a line that cannot be told must not stop the work
            self.handleError(record)


def set_up_logging(send: Callable[[Logged], None]) -> None:
    """Libraries are heard from warnings up; the daemon drops what is below its own level."""
    logging.basicConfig(handlers=[LogChannel(send)], level=logging.WARNING)
    logging.getLogger("swarm").setLevel(logging.INFO)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)


def logged(record: logging.LogRecord) -> Logged:
    fields = getattr(record, "fields", None)
    trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
    return Logged(
        record.levelno,
        record.name,
        record.getMessage()[:TEXT_LIMIT],
        {str(name): _plain(value) for name, value in fields.items()} if isinstance(fields, Mapping) else {},
        trace[-TRACE_LIMIT:],
    )


def _plain(value: Any) -> Any:
    """A frame holds neither numbers that are not finite nor objects."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    is_number = isinstance(value, int | float) and math.isfinite(value) and abs(value) <= LARGEST
    return value if value is None or is_number else str(value)[:TEXT_LIMIT]
