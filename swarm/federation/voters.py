"""Who is asked, in which order, and with which request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from swarm.domain.federation import PeerVote
from swarm.domain.generation import GenerationRequest, Prompt, TextScore
from swarm.domain.ids import NodeId
from swarm.domain.nodes import Load, NodeStatus, PeerInfo
from swarm.domain.seeds import derived_seed
from swarm.domain.tokens import TokenPrompt
from swarm.ports.text_source import TextSource

LocalVotes = Callable[[GenerationRequest, int], Awaitable[tuple[PeerVote, ...]]]
"""This node's own candidates, as many as asked for; raises `SwarmError` where there is none."""


LocalScores = Callable[[Prompt, Sequence[str]], Awaitable[tuple[TextScore | None, ...]]]
"""How likely this node's own model finds each answer; raises `SwarmError` where it cannot judge now."""


async def judges_nothing(_prompt: Prompt, texts: Sequence[str]) -> tuple[TextScore | None, ...]:
    """Of a node that has no scorer."""
    return (None,) * len(texts)


@dataclass(frozen=True, slots=True)
class ThisNode:
    """This node as one of those who can answer."""

    source: TextSource
    votes: LocalVotes
    status: Callable[[], NodeStatus]
    scores: LocalScores = judges_nothing


@dataclass(frozen=True, slots=True)
class Voter:
    """One who is asked. `peer` is None for this node itself."""

    status: NodeStatus
    peer: PeerInfo | None
    request: GenerationRequest

    @property
    def node(self) -> NodeId:
        return self.status.node if self.peer is None else self.peer.node


def is_usable(peer: PeerInfo) -> bool:
    """Alive, ready and understood."""
    return peer.standing == "alive" and peer.problem is None and peer.status is not None and peer.status.can_answer


def pressure(load: Load) -> float:
    """Answers asked for, by those that are generated at the same time; below 1 a slot is free."""
    return (load.running + load.waiting) / max(load.slots, 1)


def choose_voters(
    request: GenerationRequest, status: NodeStatus, peers: tuple[PeerInfo, ...], fan_out: int
) -> tuple[Voter, ...]:
    """This node first, if it can answer, then at most `fan_out` peers: those with the same model before the others."""
    wanted = request.model or (status.model.id if status.model else None)
    usable = [(peer, peer.status) for peer in peers if is_usable(peer) and peer.status and peer.node != status.node]
    if isinstance(request.prompt, TokenPrompt):  # to another model its ids mean something else
        usable = [(peer, theirs) for peer, theirs in usable if _model_digest(theirs) == _model_digest(status)]
    usable.sort(key=lambda pair: (_model_id(pair[1]) != wanted, pressure(pair[1].load), pair[0].round_trip_s or 0.0))
    local = [Voter(status, None, _request_for(request, status))] if status.can_answer else []
    return (*local, *(Voter(theirs, peer, _request_for(request, theirs)) for peer, theirs in usable[:fan_out]))


def _model_id(status: NodeStatus) -> str | None:
    return status.model.id if status.model else None


def _model_digest(status: NodeStatus) -> str | None:
    return status.model.digest if status.model else None


def _request_for(request: GenerationRequest, status: NodeStatus) -> GenerationRequest:
    """A seed for each node, or equal models would say the same; a temperature that the client chose is kept."""
    base = request.id if request.sampling.seed is None else request.sampling.seed
    return replace(
        request,
        sampling=replace(request.sampling, seed=derived_seed(base, status.node)),
        # A node is only ever asked for what it serves.
        model=request.model if request.model == _model_id(status) else None,
        strategy=None,
        alone=True,
    )
