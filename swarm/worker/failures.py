"""Why something cannot be done, in the worker's own words; `main` turns each into a message for the daemon."""

from __future__ import annotations


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
