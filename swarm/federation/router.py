"""The one source of text that the API asks: it decides where a request runs, and where it goes on."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from swarm.domain.errors import BackendError, RequestError, SwarmError
from swarm.domain.generation import GenerationRequest, TextDelta
from swarm.domain.nodes import ModelInfo, PeerInfo
from swarm.federation.failures import common_failure
from swarm.federation.going_on import Sent, with_seed
from swarm.federation.routes import Route, check_model, nobody_can_answer, plan_fastest, plan_routes, vote_cannot_help
from swarm.federation.settings import FederationSettings
from swarm.federation.swarm import FederatedSwarm
from swarm.federation.voters import ThisNode
from swarm.ports.clock import Clock
from swarm.ports.peer_link import PeerLink
from swarm.ports.text_source import TextSource

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.25
"""While an answer waits for somebody who goes on with it."""


class Router:
    """A `TextSource`: alone, by a vote, here, or at a peer. What a node leaves is finished by another."""

    def __init__(
        self,
        this: ThisNode,
        peers: Callable[[], tuple[PeerInfo, ...]],
        link: PeerLink,
        federation: FederatedSwarm,
        settings: FederationSettings,
        clock: Clock,
    ) -> None:
        self._this, self._peers, self._link = this, peers, link
        self._federation, self._settings, self._clock = federation, settings, clock

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[TextDelta, None]:
        """Raises `RequestError` for a model that nobody has, and `Unavailable` with what is missing."""
        async with aclosing(self._choose(request)) as deltas:
            async for delta in deltas:
                yield delta

    def _choose(self, request: GenerationRequest) -> AsyncGenerator[TextDelta, None]:
        status, peers = self._this.status(), () if request.alone else self._peers()
        check_model(request, status, peers)
        asks_others = not request.alone and self._wants_vote(request)
        if asks_others and self._can_vote(request):
            return self._federation.stream(request)
        if asks_others:
            routes = plan_fastest(request, status, peers, self._federation.doubted(peers))
        else:
            routes = plan_routes(request, status, peers)
        if not routes:
            raise nobody_can_answer(request, status, peers)
        return self._answer(with_seed(replace(request, strategy=None)), routes)

    def _wants_vote(self, request: GenerationRequest) -> bool:
        return self._settings.enabled or request.strategy is not None

    def _can_vote(self, request: GenerationRequest) -> bool:
        strategy = request.strategy or self._settings.strategy
        if request.echo and request.strategy not in (None, "route"):
            raise RequestError("`echo` cannot be put to a vote; leave the strategy or `echo` out.", param="echo")
        voters = self._federation.voters(request)
        if strategy == "route" or (request.strategy is None and vote_cannot_help(request, voters)):
            return False
        return any(voter.peer is not None for voter in voters) or (len(voters) == 1 and self._settings.instances > 1)

    async def _answer(self, request: GenerationRequest, routes: tuple[Route, ...]) -> AsyncGenerator[TextDelta, None]:
        """By the first route that begins; then on by others where it fails."""
        failures: dict[str, SwarmError] = {}
        sent = Sent()
        for route in routes:
            try:
                async with aclosing(self._along(route, request, sent)) as deltas:
                    async for delta in deltas:
                        yield delta
                return
            except SwarmError as error:
                if sent.began:
                    failed, why = route, error
                    break
                failures[self._name(route)] = error
                logger.info("route failed before the first token", extra={"fields": _fields(request, route, error)})
        else:
            raise common_failure(failures)
        async with aclosing(self._go_on(request, sent, failed, why)) as deltas:
            async for delta in deltas:
                yield delta

    async def _go_on(
        self, request: GenerationRequest, sent: Sent, failed: Route, error: SwarmError
    ) -> AsyncGenerator[TextDelta, None]:
        """The rest of an answer, by whoever can; by this node when it is back, where there is nobody else."""
        while True:
            sent.failed(self._this.status().node if failed is None else failed.node, error, self._clock.now())
            logger.warning("an answer broke off", extra={"fields": _fields(request, failed, error)})
            failed = await self._wait_for_route(request, sent, error)
            try:
                async with aclosing(self._along(failed, sent.rest_of(request), sent)) as deltas:
                    async for delta in deltas:
                        yield delta
                return
            except SwarmError as again:
                error = again

    async def _wait_for_route(self, request: GenerationRequest, sent: Sent, error: SwarmError) -> Route:
        """Raises `error` where nobody can go on and none is on its way."""
        give_up_at = self._clock.now() + self._settings.resume_s
        while sent.may_go_on_after(error):
            status, peers = self._this.status(), () if request.alone else self._peers()
            if routes := sent.routes(request, status, peers, self._clock.now()):
                return routes[0]
            is_back_soon = status.state in ("starting", "loading")
            if isinstance(error, BackendError):
                # A worker that died a moment ago may still be called ready; one that is back looks for others first.
                is_back_soon |= status.state == "waiting" or sent.failed_lately(status.node, self._clock.now())
            if request.alone or not is_back_soon or self._clock.now() >= give_up_at:
                break
            await self._clock.sleep(LOOK_EVERY_S)
        raise error

    async def _along(self, route: Route, request: GenerationRequest, sent: Sent) -> AsyncGenerator[TextDelta, None]:
        status = self._this.status()
        node, model = (status.node, status.model) if route is None else (route.node, _model_of(route))
        async with aclosing(self._source(route).stream(replace(request, alone=True))) as deltas:
            async for delta in deltas:
                yield sent.add(delta, node, model.digest if model else "")

    def _source(self, route: Route) -> TextSource:
        return self._this.source if route is None else self._link.source(route)

    def _name(self, route: Route) -> str:
        if route is None:
            return self._this.status().name
        return route.status.name if route.status else route.node


def _model_of(peer: PeerInfo) -> ModelInfo | None:
    return peer.status.model if peer.status else None


def _fields(request: GenerationRequest, route: Route, error: SwarmError) -> dict[str, str]:
    # Only the kind: a peer's message is not ours to vouch for.
    return {"request": request.id, "node": route.node if route else "this node", "error": type(error).__name__}
