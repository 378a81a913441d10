"""The one source of text that the API asks: it decides where a request runs."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from swarm.domain.errors import SwarmError
from swarm.domain.generation import GenerationRequest, TextDelta
from swarm.domain.nodes import PeerInfo
from swarm.federation.failures import common_failure
from swarm.federation.routes import Route, check_model, nobody_can_answer, plan_routes
from swarm.federation.settings import FederationSettings
from swarm.federation.swarm import FederatedSwarm
from swarm.federation.voters import ThisNode
from swarm.ports.peer_link import PeerLink
from swarm.ports.text_source import TextSource

logger = logging.getLogger(__name__)


class Router:
    """A `TextSource`: alone, by a vote, here, or at a peer, with another try for as long as no text was sent."""

    def __init__(
        self,
        this: ThisNode,
        peers: Callable[[], tuple[PeerInfo, ...]],
        link: PeerLink,
        federation: FederatedSwarm,
        settings: FederationSettings,
    ) -> None:
        self._this, self._peers, self._link = this, peers, link
        self._federation, self._settings = federation, settings

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[TextDelta, None]:
        """Raises `RequestError` for a model that nobody has, and `Unavailable` with what is missing."""
        async with aclosing(self._choose(request)) as deltas:
            async for delta in deltas:
                yield delta

    def _choose(self, request: GenerationRequest) -> AsyncGenerator[TextDelta, None]:
        status, peers = self._this.status(), () if request.alone else self._peers()
        check_model(request, status, peers)
        if not request.alone and self._wants_vote(request) and self._can_vote(request):
            return self._federation.stream(request)
        routes = plan_routes(request, status, peers)
        if not routes:
            raise nobody_can_answer(request, status, peers)
        return self._first_that_starts(request, routes)

    def _wants_vote(self, request: GenerationRequest) -> bool:
        return self._settings.enabled or request.strategy is not None

    def _can_vote(self, request: GenerationRequest) -> bool:
        voters = self._federation.voters(request)
        return any(voter.peer is not None for voter in voters) or (len(voters) == 1 and self._settings.instances > 1)

    async def _first_that_starts(
        self, request: GenerationRequest, routes: tuple[Route, ...]
    ) -> AsyncGenerator[TextDelta, None]:
        failures: dict[str, SwarmError] = {}
        for route in routes:
            began = False
            try:
                async with aclosing(self._source(route).stream(replace(request, strategy=None, alone=True))) as deltas:
                    async for delta in deltas:
                        began = True
                        yield delta
                return
            except SwarmError as error:
                if began:
                    raise
                failures[self._name(route)] = error
                logger.info("route failed before the first token", extra={"fields": _fields(request, route, error)})
        raise common_failure(failures)

    def _source(self, route: Route) -> TextSource:
        return self._this.source if route is None else self._link.source(route)

    def _name(self, route: Route) -> str:
        if route is None:
            return self._this.status().name
        return route.status.name if route.status else route.node


def _fields(request: GenerationRequest, route: Route, error: SwarmError) -> dict[str, str]:
    # Only the kind: a peer's message is not ours to vouch for.
    return {"request": request.id, "node": route.node if route else "this node", "error": type(error).__name__}
