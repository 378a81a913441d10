"""`abstain`: an answer that has a strict majority of all that was invited, or none at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from swarm.domain.errors import Undecided
from swarm.domain.federation import FederationResult, PeerVote
from swarm.federation.rules import VoteRules
from swarm.federation.weighted_vote import weighted_vote


def abstain(votes: Sequence[PeerVote], rules: VoteRules) -> FederationResult:
    """Raises `Undecided` where no answer has a majority, and `Unavailable` where no vote is valid."""
    closest = replace(weighted_vote(votes, rules), strategy="abstain")
    if closest.decided:
        return closest
    raise Undecided(
        f"No answer has a majority: the best one has {closest.agreement:.0%} of the votes that came. "
        "Ask again, ask more nodes, or choose another strategy.",
        closest,
    )
