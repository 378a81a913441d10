"""Why something cannot be done, in the worker's own words, and each as a message for the daemon."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from swarm.wire.worker_events import GenerationFailed
from swarm.wire.worker_messages import MessageTooLong

logger = logging.getLogger(__name__)


class LoadFailure(Exception):
    """The model cannot be loaded. `permanent`: trying again without another setting cannot help."""

    def __init__(self, message: str, *, permanent: bool = True) -> None:
        super().__init__(message)
        self.permanent = permanent


class PromptFailure(Exception):
    """The prompt can never be answered; `code` is OpenAI's code for it."""

    def __init__(self, message: str, *, param: str = "messages", code: str | None = None) -> None:
        super().__init__(message)
        self.param, self.code = param, code


class BlocksMissing(Exception):
    """Blocks on the route are served by nobody; later they may be."""


class Cancelled(Exception):
    """The daemon no longer wants the answer."""


def failed(request: str, error: Exception) -> GenerationFailed:
    match error:
        case Cancelled():
            return GenerationFailed(request, "cancelled", "cancelled")
        case PromptFailure():
            return GenerationFailed(request, "request", str(error), error.param, error.code)
        case MessageTooLong():
            return GenerationFailed(request, "request", f"The reply is too long. {error}; ask for less")
        case BlocksMissing():
            return GenerationFailed(request, "unavailable", str(error))
        case _:
            logger.error("an answer failed", exc_info=error)
            return GenerationFailed(request, "backend", f"{type(error).__name__}: {error}")


def refuse_unknown_tokens(known: int, named: Mapping[str, Iterable[int]]) -> None:
    """Raises `PromptFailure` for an id that is not below `known`, under the name of the parameter that has it."""
    for param, tokens in named.items():
        if any(not 0 <= token < known for token in tokens):
            raise PromptFailure(f"Token ids in `{param}` must be from 0 to {known - 1}", param=param)
