"""The tables of the experiment, in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from types import MappingProxyType

from demo_tasks import Problem, graded

from swarm.domain.federation import PeerVote
from swarm.domain.ids import StrategyName
from swarm.federation.canonical import canonical_answer
from swarm.federation.confidence import area_under_curve
from swarm.federation.rules import VoteRules
from vote_bench import arms
from vote_bench.faults import FAULTS, Scene, lie, with_fault
from vote_bench.records import Records, learned
from vote_bench.rivals import RIVALS, Rule
from vote_bench.statistics import difference, interval

SIZES = (3, 5, 7)
FAULTY = ((5, 1), (5, 2), (7, 3))
LEARNED_FROM = 100
"""Requests of a sequence that are not counted where what was learned is measured."""
SEED = 1

Rows = list[list[PeerVote]]


@dataclass(frozen=True, slots=True)
class Experiment:
    """All candidates: one row a problem, one column a member or a sample."""

    asked: Sequence[Problem]
    canaries: Sequence[Problem]
    votes: Rows
    canary_votes: Rows
    samples: Callable[[], Rows]
    """Of the first member: as many a problem as there are members; drawn where a table wants them."""
    greedy: Callable[[], Rows]
    score: Callable[[int, Sequence[Problem], Sequence[str]], list[float]]
    """What a member, by number, thinks of texts as answers to problems."""

    @property
    def members(self) -> int:
        return len(self.votes[0])

    def first(self, size: int) -> Rows:
        return [row[:size] for row in self.votes]

    def records(self, size: int) -> Records:
        return learned(self.canaries, [row[:size] for row in self.canary_votes])

    def right(self, rows: Rows, member: int) -> list[float]:
        return [float(graded(problem, row[member].text)) for problem, row in zip(self.asked, rows, strict=True)]


def print_tables(experiment: Experiment, wanted: Collection[str]) -> None:
    print(f"{len(experiment.asked)} problems, {len(experiment.canaries)} canaries, {experiment.members} members\n")
    for name, table in TABLES.items():
        if name in wanted:
            table(experiment)


def _print_members(experiment: Experiment) -> None:
    print("| member | one sample, % | greedy, % | in its canaries, % |\n| --- | --- | --- | --- |")
    greedy = experiment.greedy()
    for member in range(experiment.members):
        right = [experiment.right(votes, member) for votes in (experiment.votes, greedy)]
        shares = [*right, _checked(experiment, member)]
        cells = " | ".join(f"{_percent(share):.1f}" for share in shares)
        print(f"| {experiment.votes[0][member].node} | {cells} |")
    print()


def _checked(experiment: Experiment, member: int) -> list[float]:
    pairs = zip(experiment.canaries, experiment.canary_votes, strict=True)
    return [float(graded(problem, row[member].text)) for problem, row in pairs]


def _print_all_choices(experiment: Experiment) -> None:
    for size in (size for size in SIZES if size <= experiment.members):
        _print_choices(experiment, size)


def _print_choices(experiment: Experiment, size: int) -> None:
    right = _choices(experiment, size)
    print(f"N = {size}\n")
    print("| answer | right, % | less plurality | less the best member |\n| --- | --- | --- | --- |")
    for name, row in right.items():
        low, high = interval(row, SEED)
        less = (str(difference(row, right[other], SEED)) for other in ("plurality", "best member"))
        print(f"| {name} | {_percent(row):.1f} ({100 * low:.1f} to {100 * high:.1f}) | {' | '.join(less)} |")
    print()


def _choices(experiment: Experiment, size: int) -> dict[str, list[float]]:
    rows, records = experiment.first(size), experiment.records(size)
    single = [experiment.right(rows, member) for member in range(size)]
    best = max(range(size), key=lambda member: sum(_checked(experiment, member)))
    fresh = Records()

    def by(strategy: StrategyName, known: Records, these: Rows = rows) -> list[float]:
        pairs = zip(experiment.asked, these, strict=True)
        return [arms.right_by(problem, row, strategy, known.rules(row)) for problem, row in pairs]

    def by_rule(rule: Rule) -> list[float]:
        return [float(graded(p, rule(row))) for p, row in zip(experiment.asked, rows, strict=True)]

    own = [row[:size] for row in experiment.samples()]
    asked = experiment.asked
    return {
        "mean member": [sum(column) / size for column in zip(*single, strict=True)],
        "best member": single[best],
        "N samples of the first member, weighted_vote": by("weighted_vote", fresh, own),
        "plurality": [arms.plurality(problem, row) for problem, row in zip(asked, rows, strict=True)],
        "weighted_vote, no record": by("weighted_vote", fresh),
        "weighted_vote": by("weighted_vote", records),
        "weighted_vote or the best member": [
            arms.guarded(problem, row, records) for problem, row in zip(asked, rows, strict=True)
        ],
        "best_of_n, no scores": by("best_of_n", records),
        "best_of_n": _by_scores(experiment, rows, records),
        "mbr": by("mbr", records),
        "first_valid": by("first_valid", records),
        **{name: by_rule(rule) for name, rule in RIVALS.items()},
        "any of N (bound)": [max(column) for column in zip(*single, strict=True)],
    }


def _by_scores(experiment: Experiment, rows: Rows, records: Records, liars: int = 0) -> list[float]:
    """`best_of_n` with cross-scores where it asks for them. Liars, the last members, praise only each other's texts."""
    scores = _cross_scores(experiment, rows, liars)
    return [
        arms.right_by(problem, row, "best_of_n", _with_scores(records, row, scores.get(at, {})))
        for at, (problem, row) in enumerate(zip(experiment.asked, rows, strict=True))
    ]


def _with_scores(records: Records, row: Sequence[PeerVote], scores: arms.CrossScores) -> VoteRules:
    return replace(records.rules(row), cross_scores=scores)


def _cross_scores(experiment: Experiment, rows: Rows, liars: int) -> dict[int, arms.CrossScores]:
    """By place of the request; only where no two agree."""
    places = arms.unsettled(rows)
    size = len(rows[0]) if rows else 0
    found: dict[int, dict[tuple[str, str], dict[str, float]]] = {at: {} for at in places}
    problems = [experiment.asked[at] for at in places]
    for author in range(size):
        texts = [rows[at][author].text for at in places]
        for scorer in (scorer for scorer in range(size) if scorer != author):
            if scorer >= size - liars:
                given = [0.0 if author >= size - liars else -9.0] * len(places)
            else:
                given = experiment.score(scorer, problems, texts)
            for at, score in zip(places, given, strict=True):
                row = rows[at]
                found[at].setdefault((row[author].node, row[author].text), {})[row[scorer].node] = score
    return found  # type: ignore[return-value]


def _print_abstaining(experiment: Experiment) -> None:
    print("| abstain | answered, % | right of these, % |\n| --- | --- | --- |")
    for size in (size for size in SIZES if size <= experiment.members):
        found = arms.coverage(experiment.asked, experiment.first(size), experiment.records(size))
        print(f"| N = {size} | {100 * found.answered:.1f} | {100 * found.right:.1f} |")
    print()


def _print_all_faults(experiment: Experiment) -> None:
    for size, faulty in ((size, faulty) for size, faulty in FAULTY if size <= experiment.members):
        _print_faults(experiment, size, faulty)


def _print_faults(experiment: Experiment, size: int, faulty: int) -> None:
    rows = experiment.first(size)
    fresh = Records()
    chosen: Mapping[str, Callable[[Problem, arms.Votes, Records], float]] = {
        "plurality": lambda problem, votes, _: arms.plurality(problem, votes),
        "weighted_vote, no record": lambda p, votes, _: arms.right_by(p, votes, "weighted_vote", fresh.rules(votes)),
        "weighted_vote": lambda p, votes, known: arms.right_by(p, votes, "weighted_vote", known.rules(votes)),
        "or the best member": arms.guarded,
        **{name: partial(_by_rival, RIVALS[name]) for name in ("own log-probability", "first to finish")},
    }
    print(f"{faulty} of {size} with a fault, requests {LEARNED_FROM} to {arms.SEQUENCE} of each sequence\n")
    print(f"| fault | {' | '.join(chosen)} |\n| --- |{' --- |' * len(chosen)}")
    for name, fault in {"none": lambda _, vote: vote, **FAULTS}.items():
        right = arms.in_sequences(experiment.asked, rows, fault, faulty, chosen, LEARNED_FROM)
        print(f"| {name} | {' | '.join(f'{_percent(row):.1f}' for row in right.values())} |")
    lied = [
        list(with_fault(Scene(problem, at, tuple(row)), lie, faulty))
        for at, (problem, row) in enumerate(zip(experiment.asked, rows, strict=True))
    ]
    scored = _percent(_by_scores(experiment, lied, fresh, liars=faulty))
    print(f"\nbest_of_n with cross-scores and no record, {faulty} colluding liars of {size}: {scored:.1f} %\n")


def _by_rival(rule: Rule, problem: Problem, votes: arms.Votes, _: Records) -> float:
    return float(graded(problem, rule([vote for vote in votes if vote.error is None])))


def _print_early_stop(experiment: Experiment) -> None:
    print("| early stop | same answer, % | time / median member's | waiting for all | votes heard |")
    print("| --- | --- | --- | --- | --- |")
    for size in (size for size in SIZES if size <= experiment.members):
        for straggler in (1.0, 4.0):
            found = arms.early_stop(experiment.first(size), experiment.records(size), SEED, straggler)
            name = f"N = {size}" + (f", one {straggler:.0f} times slower" if straggler > 1 else "")
            print(
                f"| {name} | {100 * found.same_answer:.1f} | {found.waited:.2f} | {found.wait_for_all:.2f} "
                f"| {found.voters_heard:.1f} |"
            )
    print()


def _print_likeness(experiment: Experiment) -> None:
    """How alike the members err, and what their confidence tells."""
    graded_claims, within, both_wrong, same_wrong = [], [], 0, 0
    for problem, row in zip(experiment.asked, experiment.votes, strict=True):
        known = [(vote, graded(problem, vote.text), canonical_answer(vote.text)) for vote in row]
        graded_claims += [(vote.mean_logprob or 0.0, right) for vote, right, _ in known]
        for (one, one_right, one_says), (other, other_right, other_says) in combinations(known, 2):
            if one_right != other_right:
                sure, unsure = (one, other) if one_right else (other, one)
                within.append(float((sure.mean_logprob or 0.0) > (unsure.mean_logprob or 0.0)))
            elif not one_right:
                both_wrong += 1
                same_wrong += one_says == other_says
    print(
        f"Claims tell right from wrong: area under the curve {area_under_curve(graded_claims):.3f}, within a question "
        f"{sum(within) / len(within):.3f}. Of pairs that are both wrong {_percent([same_wrong / both_wrong]):.0f} % "
        f"give the same wrong answer."
    )


def _percent(shares: Sequence[float]) -> float:
    return 100 * sum(shares) / len(shares)


TABLES: Mapping[str, Callable[[Experiment], None]] = MappingProxyType(
    {
        "members": _print_members,
        "choices": _print_all_choices,
        "abstain": _print_abstaining,
        "faults": _print_all_faults,
        "early": _print_early_stop,
        "likeness": _print_likeness,
    }
)
