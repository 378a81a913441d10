"""Whether a vote of this pool is worth its cost, or its best member should answer alone: a forecast from its record.

The record are questions with known answers that all members were asked. From it come each member's chance p to be right
(the mean of a Beta posterior), and two figures of the pool, since its members err alike:

* lockstep c: the share of questions on which all members succeed or fail together, the better ones longest; on the
  others they are independent. P(both wrong) = (1 − c)·qᵢ·qⱼ + c·min(qᵢ, qⱼ) with q = 1 − p; c solves it over all pairs.
* attraction a: the chance that a wrong answer is the one that others fall for too, a² being the share of equal answers
  among pairs of wrong ones; any other wrong answer stands alone.

The chance of the vote is then exact: every way to be right, attracted or astray, weighed as `weights` would weigh it,
without confidence. The best member answers alone where even a cautious estimate of its chance, one standard deviation
lower, is above the vote's, and where the others can add nothing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, pairwise

from swarm.domain.ids import NodeId
from swarm.federation.rules import VoteRules
from swarm.federation.weights import electorate_of

DECAY = 0.98
"""What a question of the record counts for once another one has been asked: about fifty count."""
PRIOR_RIGHT, PRIOR_WRONG = 2.0, 1.0
"""Of a node before anything is known of it."""
PRIOR_PAIRS = 20.0
"""Pairs of answers that the prior of the pool's two figures counts as."""
PRIOR_LOCKSTEP = 0.3
PRIOR_SAME_WRONG = 0.35
"""Of pairs of wrong answers; models from different makers choose the same wrong option more often still."""
NO_GAIN = 0.001
"""A vote that is right this little more or less often than its best member only costs more."""
LEAST_ASKED = 20.0
"""Questions that the best member must have been asked before it may answer alone."""


@dataclass(frozen=True, slots=True)
class MemberRecord:
    """Questions with known answers: how many it was asked and how many of them it answered right, with decay."""

    right: float = 0.0
    asked: float = 0.0

    @property
    def chance(self) -> float:
        """Mean of the Beta posterior."""
        return (self.right + PRIOR_RIGHT) / (self.asked + PRIOR_RIGHT + PRIOR_WRONG)

    @property
    def doubt(self) -> float:
        """Standard deviation of the Beta posterior."""
        count = self.asked + PRIOR_RIGHT + PRIOR_WRONG
        return math.sqrt(self.chance * (1 - self.chance) / (count + 1))

    def with_answer(self, right: bool) -> MemberRecord:
        return MemberRecord(DECAY * self.right + right, DECAY * self.asked + 1)


@dataclass(frozen=True, slots=True)
class PoolRecord:
    """Of all members. Grows by `with_answers`; every record is a new one."""

    members: Mapping[NodeId, MemberRecord] = field(default_factory=dict)
    pairs: float = 0.0
    """Pairs of members that were asked the same question, with decay like all that follows."""
    both_wrong: float = 0.0
    same_wrong: float = 0.0
    if_apart: float = 0.0
    """Sum of qᵢ·qⱼ over these pairs."""
    if_together: float = 0.0
    """Sum of min(qᵢ, qⱼ) over these pairs."""

    def member(self, node: NodeId) -> MemberRecord:
        return self.members.get(node, MemberRecord())

    def with_answers(self, answers: Mapping[NodeId, str], right: str) -> PoolRecord:
        """After one question: what each who was asked answered, in canonical form, and what is right."""
        members = {**self.members}
        for node, answer in answers.items():
            members[node] = self.member(node).with_answer(answer == right)
        wrong = {node: 1 - self.member(node).chance for node in answers}
        couples = list(combinations(sorted(answers), 2))
        failed = [(one, other) for one, other in couples if right not in (answers[one], answers[other])]
        return replace(
            self,
            members=members,
            pairs=DECAY * self.pairs + len(couples),
            both_wrong=DECAY * self.both_wrong + len(failed),
            same_wrong=DECAY * self.same_wrong + sum(answers[one] == answers[other] for one, other in failed),
            if_apart=DECAY * self.if_apart + math.fsum(wrong[one] * wrong[other] for one, other in couples),
            if_together=DECAY * self.if_together + math.fsum(min(wrong[one], wrong[other]) for one, other in couples),
        )

    @property
    def lockstep(self) -> float:
        """c, 0 to 1, drawn towards `PRIOR_LOCKSTEP` while few pairs are known."""
        room = self.if_together - self.if_apart
        seen = min(max((self.both_wrong - self.if_apart) / room, 0.0), 1.0) if room > 0 else PRIOR_LOCKSTEP
        return (seen * self.pairs + PRIOR_LOCKSTEP * PRIOR_PAIRS) / (self.pairs + PRIOR_PAIRS)

    @property
    def attraction(self) -> float:
        """a, 0 to 1, drawn towards what `PRIOR_SAME_WRONG` stands for."""
        return math.sqrt((self.same_wrong + PRIOR_SAME_WRONG * PRIOR_PAIRS) / (self.both_wrong + PRIOR_PAIRS))


@dataclass(frozen=True, slots=True)
class Forecast:
    """Of a vote of some nodes, against the best of them."""

    best: NodeId
    best_alone: float
    """Its chance to be right."""
    vote: float
    """The vote's."""
    vote_helps: bool
    reason: str
    """Why, for the ballots."""


def forecast(record: PoolRecord, nodes: Collection[NodeId], rules: VoteRules) -> Forecast:
    """`nodes` are those who would be asked, at least one. Without a firm record the answer is to vote."""
    members = {node: record.member(node) for node in sorted(nodes)}
    best = max(members, key=lambda node: (members[node].chance, members[node].asked, node == rules.local, node))
    alone, vote = members[best].chance, chance_of_vote(record, nodes, rules)
    cautious = alone - members[best].doubt
    firm = members[best].asked >= LEAST_ASKED or len(members) == 1
    helps = not firm or (vote > cautious and abs(vote - alone) > NO_GAIN)
    return Forecast(best, alone, vote, helps, _reason(helps, firm, len(members), alone, vote, rules.name_of(best)))


def _reason(helps: bool, firm: bool, members: int, alone: float, vote: float, name: str) -> str:
    if helps:
        return "a vote is expected to help" if firm else "the record is too short to prefer one member"
    if members <= 2:
        return f"too few members for a vote to help: {name} answers alone, right in {alone:.0%} of its checks"
    return f"a vote of these members would be right in {vote:.0%} of cases: {name} answers alone, right in {alone:.0%}"


def chance_of_vote(record: PoolRecord, nodes: Collection[NodeId], rules: VoteRules) -> float:
    """That the answer with the most weight is right; a tie is won as often as there are answers in it."""
    chances = {node: record.member(node).chance for node in sorted(nodes)}
    worth = electorate_of(frozenset(nodes), replace(rules, reliability=chances))
    weights = [round(min(worth.reliability[node], worth.cap), 2) for node in chances]
    apart = _chance_of_right(list(chances.values()), weights, record.attraction)
    together = _chance_in_lockstep(list(chances.values()), weights, record.attraction)
    return (1 - record.lockstep) * apart + record.lockstep * together


def _chance_in_lockstep(chances: Sequence[float], weights: Sequence[float], attraction: float) -> float:
    """The question is as hard as a number drawn from 0 to 1: those are right whose chance is above it."""
    borders = sorted({0.0, *chances, 1.0})
    return math.fsum(
        (high - low) * _chance_of_right([float(chance >= high) for chance in chances], weights, attraction)
        for low, high in pairwise(borders)
    )


def _chance_of_right(chances: Sequence[float], weights: Sequence[float], attraction: float) -> float:
    """Of independent members. A state is the weight of the right answer, of the attractive wrong one, and of the
    heaviest of the others; states that look the same are one."""
    states: dict[tuple[float, float, float], float] = {(0.0, 0.0, 0.0): 1.0}
    for chance, weight in zip(chances, weights, strict=True):
        following: defaultdict[tuple[float, float, float], float] = defaultdict(float)
        for (right, attracted, astray), share in states.items():
            following[round(right + weight, 2), attracted, astray] += share * chance
            following[right, round(attracted + weight, 2), astray] += share * (1 - chance) * attraction
            following[right, attracted, max(astray, weight)] += share * (1 - chance) * (1 - attraction)
        states = {state: share for state, share in following.items() if share > 0}
    return math.fsum(share * _won(*state) for state, share in states.items())


def _won(right: float, *wrong: float) -> float:
    return 0.0 if right == 0 or right < max(wrong) else 1 / _tied(right, wrong)


def _tied(right: float, wrong: Iterable[float]) -> int:
    return 1 + sum(other == right for other in wrong)
