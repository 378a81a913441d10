"""What a vote gains: accuracy of every way to choose one answer, on fresh held-out problems that are graded exactly.

    python scripts/bench_vote.py --members DIR DIR ... --cache FILE [--problems 2000] [--canaries 200] [--tables faults]

Each member is a model of its own, as `train_demo_model.py` makes them: the first five alike, then any others. Members
draw one answer to each problem; N = 3, 5, 7 are the first N members, and all arms decide over the same candidates, so
that their differences are paired. The first member also draws N samples, as the control. Canaries are held-out problems
of their own: from them come the records of the members, and the choice of the best one. Pools of unlike members are
made of the strongest by its canaries, of like ones, and of the weakest, with a sample for each of several nodes.
What was drawn is kept in the cache file: a second run only decides. Intervals are 95 %, by bootstrap over problems;
p is McNemar's exact test.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from demo_tasks import KINDS, Problem, graded, problems
from vote_bench.candidates import Cache, Candidate, digest_of
from vote_bench.tables import TABLES, Experiment, print_tables
from vote_bench.unlike import Column, Pools, print_unlike

from swarm.domain.federation import PeerVote

TEST_SEED, CANARY_SEED = 777, 778
WEAK_NODES = 4
"""In the pools of unlike members."""


def held_out(seed: int, count: int, without: Sequence[Problem] = ()) -> list[Problem]:
    """As many of each kind, shuffled, each problem once."""
    known = {problem.identity for problem in without}
    chosen: list[Problem] = []
    for kind in KINDS:
        fresh = _unique(seed, kind, known)
        chosen += itertools.islice(fresh, -(-count // len(KINDS)))
    random.Random(seed).shuffle(chosen)
    return chosen


def _unique(seed: int, kind: str, known: set[str]) -> itertools.chain[Problem]:
    def stream() -> list[Problem]:
        found = []
        for problem in itertools.islice(problems(seed, held_out=True, kind=kind), 40_000):
            if problem.identity not in known:
                known.add(problem.identity)
                found.append(problem)
        return found

    return itertools.chain(stream())


def votes_of(rows: Sequence[Sequence[Candidate]], names: Sequence[str], digests: Sequence[str]) -> list[list[PeerVote]]:
    """One row a problem, in the order of the members."""
    return [
        [candidate.vote(name, digest) for candidate, name, digest in zip(row, names, digests, strict=True)]
        for row in zip(*rows, strict=True)
    ]


def _right(asked: Sequence[Problem], answers: Sequence[Candidate]) -> int:
    return sum(graded(problem, answer.text) for problem, answer in zip(asked, answers, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--members", type=Path, nargs="+", required=True, help="folders of models, like ones first")
    parser.add_argument("--cache", type=Path, required=True, help="file in which drawn answers are kept")
    parser.add_argument("--problems", type=int, default=2000, help="held-out problems, spread over the kinds")
    parser.add_argument("--canaries", type=int, default=200, help="held-out problems from which records are learned")
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tables", nargs="+", choices=(*TABLES, "unlike"), default=(*TABLES, "unlike"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    asked = held_out(TEST_SEED, arguments.problems)
    canaries = held_out(CANARY_SEED, arguments.canaries, without=asked)
    cache, folders = Cache(arguments.cache), arguments.members
    names, digests = [folder.name for folder in folders], [digest_of(folder) for folder in folders]

    def drawn(folder: Path, these: Sequence[Problem], sample: int) -> list[Candidate]:
        return cache.answers(folder, these, sample, arguments.temperature)

    def samples() -> list[list[PeerVote]]:
        nodes = [f"{names[0]} sample {sample}" for sample in range(len(folders))]
        rows = [drawn(folders[0], asked, sample) for sample in range(len(folders))]
        return votes_of(rows, nodes, [digests[0]] * len(folders))

    experiment = Experiment(
        asked=asked,
        canaries=canaries,
        votes=votes_of([drawn(folder, asked, 0) for folder in folders], names, digests),
        canary_votes=votes_of([drawn(folder, canaries, 0) for folder in folders], names, digests),
        samples=samples,
        greedy=lambda: votes_of([drawn(folder, asked, -1) for folder in folders], names, digests),
        score=lambda member, these, texts: cache.scores(folders[member], these, texts),
    )
    print_tables(experiment, arguments.tables)
    if "unlike" not in arguments.tables:
        return
    by_skill = sorted(range(len(folders)), key=lambda at: _right(canaries, drawn(folders[at], canaries, 0)))
    weakest, strongest = by_skill[0], by_skill[-1]

    def column(member: int, sample: int = 0) -> Column:
        node = f"{names[member]} {sample}"
        return Column(
            *(
                [candidate.vote(node, digests[member]) for candidate in drawn(folders[member], these, sample)]
                for these in (asked, canaries)
            )
        )

    like = [column(member) for member in range(len(folders)) if member not in (weakest, strongest)]
    weak = [column(weakest, sample) for sample in range(WEAK_NODES)]
    print_unlike(Pools(asked, canaries, like, weak, column(strongest)))


if __name__ == "__main__":
    main()
