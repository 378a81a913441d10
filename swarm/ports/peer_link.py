"""How this node speaks to another one."""

from __future__ import annotations

from typing import Protocol

from swarm.domain.errors import PeerError
from swarm.domain.federation import PeerVote
from swarm.domain.generation import GenerationRequest, TextScore
from swarm.domain.nodes import Endpoint, NodeStatus, PeerInfo
from swarm.ports.text_source import TextSource


class PeerRefused(PeerError):
    """The machine is there and nobody listens: the node has stopped, where silence may be the network's fault."""


class PeerLink(Protocol):
    """All methods raise `PeerError` where the peer does not answer in time or answers nonsense."""

    async def probe(self, endpoint: Endpoint, timeout_s: float) -> NodeStatus: ...

    async def goodbye(self, endpoint: Endpoint, status: NodeStatus) -> None:
        """Tells the peer that this node leaves; never raises."""
        ...

    async def hello(self, endpoint: Endpoint, status: NodeStatus, port: int) -> None:
        """Tells the peer that this node is here, with its API at `port`; never raises."""
        ...

    async def peers_of(self, endpoint: Endpoint, timeout_s: float) -> tuple[PeerInfo, ...]:
        """The peers that the peer there knows; what it says of them is hearsay."""
        ...

    async def request_vote(self, peer: PeerInfo, request: GenerationRequest, timeout_s: float) -> tuple[PeerVote, ...]:
        """The peer's candidates, at least one; a cancel stops the peer's generation too."""
        ...

    async def request_scores(
        self, peer: PeerInfo, request: GenerationRequest, texts: tuple[str, ...], timeout_s: float
    ) -> tuple[TextScore | None, ...]:
        """How likely the peer's model finds each text as an answer to the request; as many as there are texts."""
        ...

    def source(self, peer: PeerInfo) -> TextSource:
        """The peer as somebody who answers a whole request."""
        ...
