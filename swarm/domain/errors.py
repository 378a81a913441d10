"""The error tree, by who must act.

SwarmError
├── ConfigError     the operator; exit code 2
├── RequestError    the caller; HTTP 4xx; the same request can never succeed
│   └── Undecided   the caller, who asked for no answer rather than one without a majority; HTTP 409
├── Unavailable     nobody: later it may succeed; HTTP 429 or 503 with Retry-After
├── PeerError       this node: take another route
└── BackendError    us; HTTP 500
"""

from __future__ import annotations

from swarm.domain.federation import FederationResult


class SwarmError(Exception):
    """A message for people: it names the thing and says what to do next."""


class ConfigError(SwarmError):
    """A setting, flag or environment variable is unknown or has a bad value."""


class RequestError(SwarmError):
    """The request can never succeed. `param` names the field at fault, `code` is OpenAI's code for it."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.param, self.code, self.status = param, code, status


class Undecided(RequestError):
    """No answer has a strict majority. `decision` has the ballots; its winner is only the one that came closest."""

    def __init__(self, message: str, decision: FederationResult) -> None:
        super().__init__(message, code="undecided", status=409)
        self.decision = decision


class Unavailable(SwarmError):
    """Not now. `busy` tells a full queue (429) from something still missing (503)."""

    def __init__(
        self, message: str, *, retry_after_s: float = 2.0, busy: bool = False, position: int | None = None
    ) -> None:
        """`position`: that the request would have had in the queue, where there was no place for it."""
        super().__init__(message)
        self.retry_after_s, self.busy, self.position = retry_after_s, busy, position


class PeerError(SwarmError):
    """A peer did not answer, or answered nonsense; another route may do."""


class BackendError(SwarmError):
    """Our own worker failed while it held the request."""
