"""The one port that carries all text."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from swarm.domain.generation import GenerationRequest, TextDelta


class TextSource(Protocol):
    """Something that answers a request: the local model, a chain of blocks, another node, a federation.

    Exactly one delta, the last, carries the finish reason, the usage and the provenance. Closing the generator early
    frees all that the request held, here and on other nodes. `RequestError` is raised before the first delta;
    `Unavailable` mostly is; `PeerError` and `BackendError` may come at any point.
    """

    def stream(self, request: GenerationRequest) -> AsyncGenerator[TextDelta, None]: ...
