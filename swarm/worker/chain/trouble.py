"""What may fail every few seconds for hours is told when it begins, when its cause changes, and when it is over."""

from __future__ import annotations

import logging

REASON_LIMIT = 300
"""Characters; an exception of libp2p may quote a whole table."""


class Trouble:
    """One kind of trouble: `begun` is logged as a warning, `over` as information."""

    def __init__(self, logger: logging.Logger, begun: str, over: str) -> None:
        self._logger, self._begun, self._over = logger, begun, over
        self._reason: str | None = None

    def met(self, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"[:REASON_LIMIT]
        if reason != self._reason:
            self._reason = reason
            self._logger.warning(self._begun, extra={"fields": {"problem": reason}})

    def passed(self) -> None:
        if self._reason is not None:
            self._reason = None
            self._logger.info(self._over)
