"""Several nodes failed the same request: the one error that the caller should see."""

from __future__ import annotations

from collections.abc import Mapping

from swarm.domain.errors import RequestError, SwarmError, Unavailable

LISTED = 4


def common_failure(errors: Mapping[str, SwarmError]) -> SwarmError:
    """By the name of the node that raised it. What can never succeed goes before what may later."""
    for error in errors.values():
        if isinstance(error, RequestError):
            return error
    soon = [error for error in errors.values() if isinstance(error, Unavailable)]
    if soon and len(soon) == len(errors):
        return min(soon, key=lambda error: error.retry_after_s)
    return Unavailable(f"No node answered ({listed(errors)}). Try again.")


def listed(reasons: Mapping[str, object]) -> str:
    """The first few, for a message."""
    shown = [f"{name}: {reason}" for name, reason in list(reasons.items())[:LISTED]]
    return "; ".join([*shown, f"and {len(reasons) - LISTED} more"] if len(reasons) > LISTED else shown)
