"""What aiohttp itself logs: requests that are not HTTP, which anybody on the network can send at any rate."""

from __future__ import annotations

import logging
from typing import Any

from aiohttp.http_exceptions import HttpProcessingError


class ProtocolLog(logging.LoggerAdapter[logging.Logger]):
    """Keeps strangers' malformed requests, which aiohttp reports as errors with a traceback, to the debug level."""

    def exception(self, msg: object, *args: object, exc_info: Any = True, **kwargs: Any) -> None:
        if isinstance(exc_info, HttpProcessingError):
            self.debug("a request was not HTTP", extra={"fields": {"error": type(exc_info).__name__}})
        else:
            self.error(msg, *args, exc_info=exc_info, **kwargs)
