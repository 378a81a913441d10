"""What a node learns of its peers by questions with known answers, as its daemon would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from demo_tasks import Problem, graded

from swarm.domain.federation import PeerVote
from swarm.domain.ids import NodeId
from swarm.federation.best_member import PoolRecord
from swarm.federation.canonical import canonical_answer
from swarm.federation.confidence import NO_RECORD, ConfidenceRecord
from swarm.federation.rules import VoteRules
from swarm.federation.validity import why_invalid


@dataclass(frozen=True, slots=True)
class Records:
    pool: PoolRecord = field(default_factory=PoolRecord)
    confidence: Mapping[NodeId, ConfidenceRecord] = field(default_factory=dict)

    def with_canary(self, problem: Problem, votes: Sequence[PeerVote]) -> Records:
        """After one question with a known answer; a vote that does not count is a wrong answer."""
        right = _key(problem.answer)
        answers = {vote.node: _key(vote.text) if why_invalid(vote, VoteRules()) is None else "" for vote in votes}
        known = self.with_request(votes)
        confidence = {**known.confidence}
        for vote in votes:
            if vote.mean_logprob is not None and answers[vote.node]:
                record = confidence.get(vote.node, NO_RECORD)
                confidence[vote.node] = record.with_graded(vote.mean_logprob, graded(problem, vote.text))
        return Records(self.pool.with_answers(answers, right), confidence)

    def with_request(self, votes: Sequence[PeerVote]) -> Records:
        """After an ordinary request, of which nobody knows what is right."""
        confidence = {**self.confidence}
        for vote in votes:
            if vote.mean_logprob is not None:
                confidence[vote.node] = confidence.get(vote.node, NO_RECORD).with_claim(vote.mean_logprob)
        return Records(self.pool, confidence)

    def rules(self, votes: Sequence[PeerVote]) -> VoteRules:
        nodes = tuple(vote.node for vote in votes)
        chances = {node: record.chance for node, record in self.pool.members.items()}
        return replace(VoteRules(nodes, nodes[0]), reliability=chances, confidence=self.confidence)


def learned(problems: Sequence[Problem], votes: Sequence[Sequence[PeerVote]]) -> Records:
    """After canaries alone."""
    records = Records()
    for problem, row in zip(problems, votes, strict=True):
        records = records.with_canary(problem, row)
    return records


def _key(text: str) -> str:
    answer = canonical_answer(text)
    return f"{answer.kind} {answer.key}"
