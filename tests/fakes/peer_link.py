"""Other nodes without a network."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from swarm.domain.errors import PeerError
from swarm.domain.federation import PeerVote
from swarm.domain.generation import GenerationRequest, TextScore
from swarm.domain.ids import NodeId
from swarm.domain.nodes import Endpoint, NodeStatus, PeerInfo
from swarm.ports.clock import Clock
from swarm.ports.text_source import TextSource
from tests.fakes.text_source import ScriptedSource


@dataclass
class FakePeerLink:
    """A `PeerLink`. A node without a script refuses; one in `silent` never answers."""

    clock: Clock
    votes: dict[NodeId, tuple[PeerVote, ...]] = field(default_factory=dict)
    delays_s: dict[NodeId, float] = field(default_factory=dict)
    errors: dict[NodeId, Exception] = field(default_factory=dict)
    silent: set[NodeId] = field(default_factory=set)
    sources: dict[NodeId, ScriptedSource] = field(default_factory=dict)
    statuses: dict[Endpoint, NodeStatus] = field(default_factory=dict)
    asked: dict[NodeId, GenerationRequest] = field(default_factory=dict)
    cancelled: list[NodeId] = field(default_factory=list)
    goodbyes: list[Endpoint] = field(default_factory=list)
    hellos: list[Endpoint] = field(default_factory=list)
    tables: dict[Endpoint, tuple[PeerInfo, ...]] = field(default_factory=dict)
    """What nodes say when they are asked for their peers."""
    likes: dict[NodeId, dict[str, float]] = field(default_factory=dict)
    """Mean log-probabilities that nodes give to texts."""
    silent_judges: set[NodeId] = field(default_factory=set)
    scored: dict[NodeId, tuple[str, ...]] = field(default_factory=dict)
    """The texts that nodes were asked to judge."""

    async def probe(self, endpoint: Endpoint, timeout_s: float) -> NodeStatus:
        if endpoint not in self.statuses:
            raise PeerError(f"{endpoint} refused the connection")
        return self.statuses[endpoint]

    async def goodbye(self, endpoint: Endpoint, status: NodeStatus) -> None:
        self.goodbyes.append(endpoint)

    async def hello(self, endpoint: Endpoint, status: NodeStatus, port: int) -> None:
        self.hellos.append(endpoint)

    async def peers_of(self, endpoint: Endpoint, timeout_s: float) -> tuple[PeerInfo, ...]:
        if endpoint not in self.tables:
            raise PeerError(f"{endpoint} does not say")
        return self.tables[endpoint]

    async def request_vote(self, peer: PeerInfo, request: GenerationRequest, timeout_s: float) -> tuple[PeerVote, ...]:
        self.asked[peer.node] = request
        try:
            await self._wait(peer.node)
        except asyncio.CancelledError:
            self.cancelled.append(peer.node)
            raise
        if peer.node in self.errors:
            raise self.errors[peer.node]
        if peer.node not in self.votes:
            raise PeerError(f"{peer.endpoint} refused the connection")
        return self.votes[peer.node]

    async def request_scores(
        self, peer: PeerInfo, request: GenerationRequest, texts: tuple[str, ...], timeout_s: float
    ) -> tuple[TextScore | None, ...]:
        self.scored[peer.node] = texts
        if peer.node in self.silent_judges:
            await asyncio.get_running_loop().create_future()
        if peer.node not in self.likes:
            raise PeerError(f"{peer.endpoint} does not judge")
        return tuple(TextScore(self.likes[peer.node].get(text, -9.0), 5) for text in texts)

    async def _wait(self, node: NodeId) -> None:
        if node in self.silent:
            await asyncio.get_running_loop().create_future()
        if delay_s := self.delays_s.get(node, 0.0):
            await self.clock.sleep(delay_s)

    def source(self, peer: PeerInfo) -> TextSource:
        refused = ScriptedSource(pieces=(), error=PeerError(f"{peer.endpoint} refused the connection"))
        return self.sources.get(peer.node, refused)
