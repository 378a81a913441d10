"""Pools of unlike members, as nodes with whatever model they have make them: is a vote ever worse than the best?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from demo_tasks import Problem, graded

from swarm.domain.federation import PeerVote
from vote_bench import arms
from vote_bench.records import Votes, learned
from vote_bench.statistics import difference

SEED = 2


@dataclass(frozen=True, slots=True)
class Column:
    """What one node answers."""

    votes: Sequence[PeerVote]
    """To the problems."""
    canary_votes: Sequence[PeerVote]


@dataclass(frozen=True, slots=True)
class Pools:
    """`like` are members as good as each other; `strong` and `weak` are named by their canaries. `weak` comes several
    times, as nodes with the same model, each with a sample of its own."""

    asked: Sequence[Problem]
    canaries: Sequence[Problem]
    like: Sequence[Column]
    weak: Sequence[Column]
    strong: Column

    def named(self) -> dict[str, list[Column]]:
        return {
            "strong, weak": [self.strong, *self.weak[:1]],
            "strong, 2 × weak": [self.strong, *self.weak[:2]],
            "strong, 4 × weak": [self.strong, *self.weak[:4]],
            "strong, one like, weak": [self.strong, *self.like[:1], *self.weak[:1]],
            "strong, one like, 3 × weak": [self.strong, *self.like[:1], *self.weak[:3]],
            "strong, two like, 2 × weak": [self.strong, *self.like[:2], *self.weak[:2]],
            "two like": list(self.like[:2]),
            "strong, four like": [self.strong, *self.like[:4]],
        }


def print_unlike(pools: Pools) -> None:
    print("| pool | best member, % | plurality, % | weighted_vote, % | the swarm, % | the swarm less the best member |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, columns in pools.named().items():
        rows = _rows([column.votes for column in columns])
        records = learned(pools.canaries, _rows([column.canary_votes for column in columns]))
        found = records.forecast(rows[0])
        pairs = list(zip(pools.asked, rows, strict=True))
        best = [float(graded(problem, _by(row, found.best).text)) for problem, row in pairs]
        plain = [arms.plurality(problem, row) for problem, row in pairs]
        voted = [arms.right_by(problem, row, "weighted_vote", records.rules(row)) for problem, row in pairs]
        answered = voted if found.vote_helps else best
        how = "by vote" if found.vote_helps else "best alone"
        shares = " | ".join(f"{100 * sum(right) / len(right):.1f}" for right in (best, plain, voted, answered))
        print(f"| {name} | {shares} ({how}) | {difference(answered, best, SEED)} |")
    print()


def _rows(columns: Sequence[Sequence[PeerVote]]) -> list[Votes]:
    return [list(row) for row in zip(*columns, strict=True)]


def _by(row: Votes, node: str) -> PeerVote:
    return next(vote for vote in row if vote.node == node)
