"""The one table from errors to HTTP, and the one shape in which every error leaves: OpenAI's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from swarm.domain.errors import BackendError, ConfigError, PeerError, RequestError, SwarmError, Unavailable, Undecided
from swarm.domain.nodes import NodeStatus
from swarm.wire.codec import to_plain


@dataclass(frozen=True, slots=True)
class Failure:
    """How an error is told. `repeats`: the same request will fail again, so that clients must not retry it."""

    status: int
    type: str
    code: str | None
    repeats: bool = False


FAILURES: Mapping[type[SwarmError], Failure] = MappingProxyType(
    {
        SwarmError: Failure(500, "server_error", "internal_error", repeats=True),
        ConfigError: Failure(500, "server_error", "bad_configuration", repeats=True),
        RequestError: Failure(400, "invalid_request_error", None, repeats=True),
        Undecided: Failure(409, "conflict_error", "undecided", repeats=True),
        Unavailable: Failure(503, "service_unavailable", "unavailable"),
        PeerError: Failure(502, "server_error", "peer_failed"),
        BackendError: Failure(500, "server_error", "backend_failed"),
    }
)
"""By the nearest class. A `RequestError` brings its own status and code; a busy `Unavailable` is `QUEUE_FULL`."""

QUEUE_FULL = Failure(429, "rate_limit_error", "queue_full")
UNEXPECTED = Failure(500, "server_error", "internal_error", repeats=True)
UNEXPECTED_MESSAGE = "This node failed in a way it did not foresee; its log has the details under the X-Request-Id."

TYPES: Mapping[int, str] = MappingProxyType(
    {
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        409: "conflict_error",
        429: "rate_limit_error",
        501: "not_supported_error",
    }
)
"""Of a `RequestError`, by its status; any other is an `invalid_request_error`."""


def failure_of(error: BaseException) -> Failure:
    match error:
        case RequestError():
            base = FAILURES[RequestError]
            return Failure(error.status, TYPES.get(error.status, base.type), error.code, base.repeats)
        case Unavailable(busy=True):
            return QUEUE_FULL
        case SwarmError():
            return next(FAILURES[kind] for kind in type(error).__mro__ if kind in FAILURES)
        case _:
            return UNEXPECTED


def error_body(error: BaseException) -> dict[str, Any]:
    failure = failure_of(error)
    message = str(error) if isinstance(error, SwarmError) else UNEXPECTED_MESSAGE
    param = error.param if isinstance(error, RequestError) else None
    return {"error": {"message": message, "type": failure.type, "param": param, "code": failure.code}}


def queue_facts(error: Unavailable) -> dict[str, Any]:
    """What a full queue adds to its refusal: the position that the request would have had, and an estimate."""
    if error.position is None:
        return {}
    return {"queue": {"position": error.position, "estimate_s": round(error.retry_after_s, 1)}}


def not_ready(status: NodeStatus) -> dict[str, Any]:
    """What a node that cannot answer yet adds to its 503: how far it is."""
    return {"state": status.state, "progress": to_plain(status.progress)}


def retry_headers(error: BaseException) -> dict[str, str]:
    """OpenAI's clients try again after every 5xx by themselves, unless they are told that it is of no use."""
    if isinstance(error, Unavailable):
        return {"Retry-After": str(max(1, math.ceil(error.retry_after_s)))}
    failure = failure_of(error)
    headers = {"x-should-retry": "false"} if failure.repeats else {}
    return headers | ({"WWW-Authenticate": "Bearer"} if failure.status == 401 else {})
