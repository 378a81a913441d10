"""What the API asks of the rest of the node. Everything else it owns itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from swarm.domain.errors import Unavailable
from swarm.domain.events import MembershipEvent
from swarm.domain.federation import DecisionRecord, PeerVote
from swarm.domain.generation import GenerationRequest, Prompt, TextScore
from swarm.domain.ids import BootId, NodeId, StrategyName
from swarm.domain.nodes import Endpoint, ModelInfo, NodeStatus, PeerInfo
from swarm.ports.clock import Clock
from swarm.ports.model_tools import ModelTools
from swarm.ports.text_source import TextSource
from swarm.ports.weights import WeightsShelf

Unsubscribe = Callable[[], None]


def no_events(_hear: Callable[[MembershipEvent], None]) -> Unsubscribe:
    """Of a node that has no membership."""
    return lambda: None


def no_greetings(_node: NodeId, _boot: BootId, _endpoint: Endpoint) -> None:
    """Of a node that has no membership."""


async def no_scores(_prompt: Prompt, _texts: Sequence[str]) -> tuple[TextScore | None, ...]:
    """Of a node that judges nobody's answers."""
    raise Unavailable("This node judges no answers.")


@dataclass(frozen=True, slots=True)
class ApiServices:
    answers: TextSource
    """Routes a request, or puts it to the vote."""
    votes: Callable[[GenerationRequest], Awaitable[tuple[PeerVote, ...]]]
    """This node's own candidates for another node's vote."""
    status: Callable[[], NodeStatus]
    peers: Callable[[], tuple[PeerInfo, ...]]
    hear_goodbye: Callable[[NodeId], None]
    clock: Clock
    new_id: Callable[[], str]
    strategy: StrategyName = "weighted_vote"
    """For a request that asks for federation and names no strategy."""
    scores: Callable[[Prompt, Sequence[str]], Awaitable[tuple[TextScore | None, ...]]] = no_scores
    """How likely this node's own model finds each of these answers."""
    decisions: Callable[[], tuple[DecisionRecord, ...]] = tuple
    """The last votes of this node, newest first."""
    subscribe: Callable[[Callable[[MembershipEvent], None]], Unsubscribe] = no_events
    """Every event of the membership, at once and in order."""
    weights: WeightsShelf | None = None
    """What is handed on of this node's model; None hands nothing on."""
    loadable: Callable[[], Sequence[ModelInfo]] = tuple
    """Models that a request by name would have loaded; it reads the disk."""
    tools: ModelTools | None = None
    """What this node's own model does besides answering; None: nothing."""
    hear_hello: Callable[[NodeId, BootId, Endpoint], None] = no_greetings
    """Another node has met this one, and listens there."""
