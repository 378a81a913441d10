"""What of an answer was sent already, so that another node can go on with it. Pure."""

from __future__ import annotations

from dataclasses import replace

from swarm.domain.errors import RequestError, SwarmError, Unavailable
from swarm.domain.generation import GenerationRequest, Resume, TextDelta
from swarm.domain.ids import NodeId
from swarm.domain.nodes import NodeStatus, PeerInfo
from swarm.domain.seeds import derived_seed
from swarm.federation.routes import Route, plan_routes

MOST_RESUMED = 8
"""Nodes that may fail one answer: one that kills whoever works on it must not go through the whole swarm."""
MOST_IN_VAIN = 3
"""Of them, in a row without a single piece more."""
SAME_AGAIN_AFTER_S = 2.0
"""A node that failed the answer is asked again only after this, and only where no other can."""
CHAIN_AGAIN_AFTER_S = 5.0
"""Where blocks are missing for one, they are for all; by then each node's status says so."""


class Sent:
    """An answer as far as it was sent, by whom, and who failed it."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._nodes: dict[NodeId, None] = {}
        self._digest = ""
        self._began = False
        self._is_known = True
        self._failed: dict[NodeId, float] = {}
        self._blocks_missed_at = float("-inf")
        self._resumed = self._in_vain = 0

    @property
    def began(self) -> bool:
        """Some of it was sent: from here on it can only go on, not begin again."""
        return self._began

    def add(self, delta: TextDelta, node: NodeId, digest: str) -> TextDelta:
        """The delta as the caller gets it: the last one names all nodes that took part."""
        if delta.progress is not None:
            return delta
        self._began, self._in_vain = True, 0
        self._is_known = self._is_known and len(delta.token_ids) == delta.tokens
        self._ids += delta.token_ids
        self._digest = self._digest or digest
        self._nodes[node] = None
        if delta.provenance is None or len(self._nodes) == 1:
            return delta
        everyone = dict.fromkeys((*self._nodes, *delta.provenance.nodes))
        return replace(delta, provenance=replace(delta.provenance, nodes=tuple(everyone)))

    def may_go_on_after(self, error: SwarmError) -> bool:
        """Whether another node could finish what this error ended."""
        if isinstance(error, RequestError) or not (self._is_known and self._digest):
            return False
        return self._resumed < MOST_RESUMED and self._in_vain < MOST_IN_VAIN

    def failed(self, node: NodeId, error: SwarmError, now: float) -> None:
        self._failed[node] = now
        self._resumed, self._in_vain = self._resumed + 1, self._in_vain + 1
        if isinstance(error, Unavailable) and not error.busy:
            self._blocks_missed_at = now

    def failed_lately(self, node: NodeId, now: float) -> bool:
        """So lately that its own state may not say so yet."""
        return now - self._failed.get(node, float("-inf")) < SAME_AGAIN_AFTER_S

    def rest_of(self, request: GenerationRequest) -> GenerationRequest:
        return replace(request, resume=Resume(tuple(self._ids), self._digest), echo=False)

    def routes(
        self, request: GenerationRequest, status: NodeStatus, peers: tuple[PeerInfo, ...], now: float
    ) -> tuple[Route, ...]:
        """Where the answer may go on, best first: those that did not fail it before those that did."""
        routes = [
            route
            for route in plan_routes(request, status, peers)
            if self._is_fit(status if route is None else route.status, now)
        ]
        fresh = [route for route in routes if _node(route, status) not in self._failed]
        again = [route for route in routes if route not in fresh]
        return (*fresh, *(route for route in again if now - self._failed[_node(route, status)] >= SAME_AGAIN_AFTER_S))

    def _is_fit(self, status: NodeStatus | None, now: float) -> bool:
        if status is None or status.model is None or status.model.digest != self._digest:
            return False
        return status.whole or now - self._blocks_missed_at >= CHAIN_AGAIN_AFTER_S


def with_seed(request: GenerationRequest) -> GenerationRequest:
    """A request without a seed gets one, so that whoever goes on with its answer draws the same."""
    if request.sampling.seed is not None:
        return request
    return replace(request, sampling=replace(request.sampling, seed=derived_seed(request.id, "answer")))


def _node(route: Route, ours: NodeStatus) -> NodeId:
    return ours.node if route is None else route.node
