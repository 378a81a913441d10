"""What this node keeps of its votes: whom to trust, whom to ask first, and how it was decided."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from swarm.domain.federation import FederationResult, PeerVote
from swarm.domain.generation import GenerationRequest
from swarm.domain.ids import NodeId
from swarm.federation.decisions import DecisionLog
from swarm.federation.first_words import FirstWords
from swarm.federation.settings import FederationSettings
from swarm.federation.trust.reliability import Anchors, named_anchors
from swarm.federation.trust.reputation import Reputation
from swarm.ports.clock import Clock


def nothing_noted(_request: GenerationRequest) -> None:
    """Of a node that examines nobody."""


@dataclass(frozen=True, slots=True)
class VoteMemory:
    reputation: Reputation
    decisions: DecisionLog
    first_words: FirstWords
    note: Callable[[GenerationRequest], None] = nothing_noted
    """Told of every request that is put to the vote."""

    @staticmethod
    def empty(local: Callable[[], NodeId], settings: FederationSettings, clock: Clock) -> VoteMemory:
        anchors = anchors_of(settings)
        reputation = Reputation(lambda: anchors(local()), clock.wall)
        return VoteMemory(reputation, DecisionLog(clock, settings.keep_texts), FirstWords())

    def remember(
        self, request: GenerationRequest, result: FederationResult, seconds: float, votes: Sequence[PeerVote] = ()
    ) -> None:
        """`votes` are those that were compared with each other; none where the first answer was taken."""
        if votes:
            self.reputation.voted(votes, result)
        self.decisions.add(request, result, seconds)


def anchors_of(settings: FederationSettings) -> Callable[[NodeId], Anchors]:
    named = named_anchors(settings.anchors)
    return lambda local: Anchors(settings.trust, local, named)
