"""How long it takes to choose among candidates that are already there, and which answers count as the same.

    python scripts/bench_choice.py [--candidates 7] [--tokens 1000]

Texts are made up: long work that ends with a final answer, which is compared exactly, and free texts that share most
of their words, which are compared with each other. No model is needed. Times are CPU time of this process: of seven
candidates that nobody has looked at, and of the last one where the others were looked at as they arrived, as the swarm
does. The pairs of answers are those of the tests, without calls; other tools' rules are re-stated from descriptions.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from vote_bench.rivals import SAME

from swarm.domain.errors import Undecided
from swarm.domain.federation import PeerVote
from swarm.domain.ids import NodeId, StrategyName
from swarm.federation.canonical import canonical_answer
from swarm.federation.rules import VoteRules
from swarm.federation.similarity import clusters_of_texts, free_text
from swarm.federation.strategies import STRATEGIES, decide
from swarm.federation.tally import tally
from tests.unit.federation.answer_pairs import Pair, pairs

WORDS_PER_TOKEN = 0.75
VOCABULARY = 3000
CHANGED = 0.1
"""Share of words in which two free texts differ."""


class Writer:
    """Texts of random words, with the sentences, numbers and negations of ordinary ones."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        letters = "etaoinshrdlucmfwypvbgk"
        self._words = ["".join(self._rng.choices(letters, k=self._rng.randint(2, 9))) for _ in range(VOCABULARY)]

    def words(self, count: int) -> list[str]:
        return [self._word() for _ in range(count)]

    def changed(self, words: list[str], share: float) -> list[str]:
        return [self._rng.choice(self._words) if self._rng.random() < share else word for word in words]

    def final(self) -> str:
        return f". The answer is {self._rng.randint(1, 4)}."

    def _word(self) -> str:
        word = self._rng.choice(self._words)
        kind = self._rng.random()
        if kind < 0.01:
            return "not"
        if kind < 0.03:
            return str(self._rng.randint(1, 99))
        if kind < 0.10:
            return word + "."
        return word.capitalize() if kind < 0.13 else word


def candidates(writer: Writer, kind: str, count: int, tokens: int) -> list[PeerVote]:
    base = writer.words(round(tokens * WORDS_PER_TOKEN))
    texts = [" ".join(writer.changed(base, CHANGED)) for _ in range(count)]
    ends = [writer.final() if kind == "final answers" else "" for _ in range(count)]
    return [
        PeerVote(NodeId(f"node{n}"), text + end, "stop", tokens, -0.5, "demo", f"digest{n}", 1.0)
        for n, (text, end) in enumerate(zip(texts, ends, strict=True))
    ]


def chosen(strategy: StrategyName, votes: list[PeerVote]) -> None:
    scores = {vote.node: -0.1 * number for number, vote in enumerate(votes)}
    rules = VoteRules(tuple(vote.node for vote in votes), NodeId("node0"))
    if strategy == "best_of_n":
        rules = replace(rules, cross_scores={(vote.node, vote.text): scores for vote in votes})
    with suppress(Undecided):
        decide(strategy, votes, rules)


def same_here(pair: Pair) -> bool:
    left, right = (canonical_answer(text, pair.form) for text in (pair.left, pair.right))
    if left.exact or right.exact:
        return left == right
    return len(clusters_of_texts([free_text(left.key), free_text(right.key)])) == 1


def print_pairs() -> None:
    known = [pair for pair in pairs() if not any(pair.calls)]
    rules = {"the swarm": same_here} | {
        name: lambda pair, rule=rule: rule(pair.left, pair.right)  # type: ignore[misc]
        for name, rule in SAME.items()
    }
    counts = [sum(pair.same is same for pair in known) for same in (True, False)]
    print(f"\n| rule | the same, of {counts[0]} | different, of {counts[1]} |\n| --- | --- | --- |")
    for name, rule in rules.items():
        right = [sum(rule(pair) is same for pair in known if pair.same is same) for same in (True, False)]
        print(f"| {name} | {100 * right[0] / counts[0]:.1f} % | {100 * right[1] / counts[1]:.1f} % |")


def cpu_ms(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return 1000 * (time.process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--candidates", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=200)
    arguments = parser.parse_args()
    print(f"{arguments.candidates} candidates of {arguments.tokens} tokens, {arguments.runs} choices a row\n")
    print("| strategy | candidates | all at once: p50, ms | p95, ms | the last one arrives: p50, ms | p95, ms |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind in ("final answers", "free texts"):
        for strategy in STRATEGIES:
            writer = Writer(1)
            taken: list[list[float]] = [[], []]
            for number in range(2 * arguments.runs):
                votes = candidates(writer, kind, arguments.candidates, arguments.tokens)
                arrive = number % 2
                if arrive:
                    tally(votes[:-1], VoteRules())
                taken[arrive].append(cpu_ms(lambda strategy=strategy, votes=votes: chosen(strategy, votes)))  # type: ignore[misc]
            cells = [sorted(row)[int(share * len(row))] for row in taken for share in (0.5, 0.95)]
            print(f"| {strategy} | {kind} | {' | '.join(f'{cell:.2f}' for cell in cells)} |")
    print_pairs()


if __name__ == "__main__":
    main()
