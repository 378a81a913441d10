"""The arms of the experiment: each turns the votes on every problem into right or wrong answers."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from demo_tasks import Problem, graded

from swarm.domain.errors import Unavailable, Undecided
from swarm.domain.federation import PeerVote
from swarm.domain.ids import NodeId, StrategyName
from swarm.federation.best_of_n import wants_cross_scores
from swarm.federation.canonical import canonical_answer
from swarm.federation.early_stop import is_decided
from swarm.federation.rules import CandidateKey, VoteRules
from swarm.federation.strategies import decide
from swarm.federation.validity import why_invalid
from vote_bench.faults import Fault, Scene, with_fault
from vote_bench.records import Records, Votes

CANARY_EVERY = 20
"""Requests of a sequence between two questions with known answers."""
SEQUENCE = 400
"""Requests of one sequence of learning."""

CrossScores = Mapping[CandidateKey, Mapping[NodeId, float]]


def right_by(problem: Problem, votes: Votes, strategy: StrategyName, rules: VoteRules) -> float:
    """1 where the chosen answer is right; 0 where it is wrong, or there is none."""
    try:
        return float(graded(problem, decide(strategy, votes, rules).winner.text))
    except (Unavailable, Undecided):
        return 0.0


def plurality(problem: Problem, votes: Votes) -> float:
    """Heads alone, by canonical answer; of equally many, that of the first member."""
    valid = [vote for vote in votes if why_invalid(vote, VoteRules()) is None]
    answers = [canonical_answer(vote.text) for vote in valid]
    heads = Counter(answers)
    leader = max(range(len(valid)), key=lambda at: (heads[answers[at]], -at), default=None)
    return 0.0 if leader is None else float(graded(problem, valid[leader].text))


def guarded(problem: Problem, votes: Votes, records: Records) -> float:
    """`weighted_vote`, or the best member alone where the record says that a vote does not help."""
    found = records.forecast(votes)
    if found.vote_helps:
        return right_by(problem, votes, "weighted_vote", records.rules(votes))
    return float(graded(problem, next(vote.text for vote in votes if vote.node == found.best)))


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of `abstain`: how often it answers, and how often it is right then."""

    answered: float
    right: float


def coverage(asked: Sequence[Problem], votes: Sequence[Votes], records: Records) -> Coverage:
    outcomes: list[float] = []
    for problem, row in zip(asked, votes, strict=True):
        try:
            outcomes.append(float(graded(problem, decide("abstain", row, records.rules(row)).winner.text)))
        except Undecided:
            continue
    return Coverage(len(outcomes) / len(asked), sum(outcomes) / max(len(outcomes), 1))


def unsettled(votes: Sequence[Votes]) -> list[int]:
    """Places of the requests for which `best_of_n` asks for cross-scores."""
    return [at for at, row in enumerate(votes) if wants_cross_scores(row, VoteRules())]


def in_sequences(
    asked: Sequence[Problem],
    votes: Sequence[Votes],
    fault: Fault,
    faulty: int,
    arms: Mapping[str, Callable[[Problem, Votes, Records], float]],
    measured_from: int,
) -> dict[str, list[float]]:
    """Requests in sequences of `SEQUENCE`, each begun without any record; every `CANARY_EVERY`th is examined as well.
    What comes before `measured_from` in a sequence teaches and is not counted."""
    right: dict[str, list[float]] = {name: [] for name in arms}
    records = Records()
    for at, (problem, row) in enumerate(zip(asked, votes, strict=True)):
        number = at % SEQUENCE
        records = Records() if number == 0 else records
        faulted = with_fault(Scene(problem, number, tuple(row)), fault, faulty)
        if number >= measured_from:
            for name, arm in arms.items():
                right[name].append(arm(problem, faulted, records))
        records.request(faulted)
        if number % CANARY_EVERY == 0:
            records.examine(problem, faulted)
    return right


@dataclass(frozen=True, slots=True)
class EarlyStop:
    """Of a vote that stops when it is decided; times in multiples of the median member's on the same request."""

    same_answer: float
    waited: float
    """Median over requests."""
    wait_for_all: float
    voters_heard: float


def early_stop(votes: Sequence[Votes], records: Records, seed: int, straggler: float = 1.0) -> EarlyStop:
    """Arrival times are log-normal (sigma 0.5) about one median; the last member's are `straggler` times longer."""
    rng = random.Random(seed)
    same, waited, full, heard = 0, [], [], 0
    for row in votes:
        delays = [rng.lognormvariate(0, 0.5) * (straggler if at == len(row) - 1 else 1) for at in range(len(row))]
        timed = sorted((replace(vote, latency_s=delay) for vote, delay in zip(row, delays, strict=True)), key=_latency)
        rules = records.rules(timed)
        came = next(
            count
            for count in range(1, len(timed) + 1)
            if is_decided("weighted_vote", timed[:count], [vote.node for vote in timed[count:]], rules)
        )
        early, late = (decide("weighted_vote", part, rules).winner.text for part in (timed[:came], timed))
        same += canonical_answer(early) == canonical_answer(late)
        waited.append(timed[came - 1].latency_s / median(delays))
        full.append(timed[-1].latency_s / median(delays))
        heard += came
    return EarlyStop(same / len(votes), median(waited), median(full), heard / len(votes))


def _latency(vote: PeerVote) -> float:
    return vote.latency_s
