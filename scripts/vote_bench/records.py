"""What a node learns of its peers, by the code that learns it in the daemon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from demo_tasks import Problem, graded

from swarm.domain.errors import Unavailable
from swarm.domain.federation import PeerVote
from swarm.federation.best_member import Forecast
from swarm.federation.canonical import canonical_answer
from swarm.federation.rules import VoteRules
from swarm.federation.strategies import decide
from swarm.federation.trust.reliability import Anchors
from swarm.federation.trust.reputation import Examined, Reputation
from swarm.federation.validity import why_invalid

Votes = Sequence[PeerVote]


class Records:
    """Of the members of one sequence of requests; time stands still."""

    def __init__(self) -> None:
        self._reputation = Reputation(Anchors, wall=lambda: 0.0)

    def examine(self, problem: Problem, votes: Votes) -> None:
        """A question with a known answer was put to all; a vote that does not count is a wrong answer."""
        self._reputation.examined({vote.node: _examined(problem, vote) for vote in votes})

    def request(self, votes: Votes) -> None:
        """An ordinary request, of which nobody knows what is right."""
        try:
            self._reputation.voted(votes, decide("weighted_vote", votes, self.rules(votes)))
        except Unavailable:
            return

    def rules(self, votes: Votes) -> VoteRules:
        """This node is the first member."""
        nodes = tuple(vote.node for vote in votes)
        return replace(
            VoteRules(nodes, nodes[0]),
            reliability=self._reputation.reliability(nodes),
            confidence={node: self._reputation.confidence(node) for node in nodes},
        )

    def forecast(self, votes: Votes) -> Forecast:
        return self._reputation.forecast(tuple(vote.node for vote in votes), self.rules(votes))


def learned(problems: Sequence[Problem], votes: Sequence[Votes]) -> Records:
    """After requests that were all examined as well."""
    records = Records()
    for problem, row in zip(problems, votes, strict=True):
        records.request(row)
        records.examine(problem, row)
    return records


def _examined(problem: Problem, vote: PeerVote) -> Examined:
    if why_invalid(vote, VoteRules()) is not None:
        return Examined(False, "")
    return Examined(graded(problem, vote.text), canonical_answer(vote.text).key, vote.mean_logprob)
