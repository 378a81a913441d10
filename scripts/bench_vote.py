"""Accuracy of one answer, and of the answer that each strategy picks among N, on held-out problems graded exactly.

    python scripts/bench_vote.py [--model swarm/demo_model] [--problems 250]

All strategies decide over the same candidates, nested (the first 3 of the 5), so that their differences are paired.
Intervals are 95 %, by bootstrap over problems. Candidates are drawn in this process; nothing is timed.
"""

from __future__ import annotations

import argparse
import itertools
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from demo_tasks import KINDS, Problem, graded, problems
from transformers import AutoModelForCausalLM, AutoTokenizer

from swarm.domain.federation import PeerVote
from swarm.domain.ids import FinishReason, NodeId
from swarm.federation.rules import VoteRules
from swarm.federation.strategies import STRATEGIES, decide

SIZES = (3, 5)
RESAMPLES = 2000
BATCH = 100
LONGEST_ANSWER = 96
"""Tokens."""


class Sampler:
    """Draws answers in batches, with the mean log-probability at temperature 1 that a node would report."""

    def __init__(self, folder: Path, temperature: float) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self._temperature = temperature

    @torch.inference_mode()
    def answers(self, asked: Sequence[Problem], node: int, *, greedy: bool = False) -> list[PeerVote]:
        chats = [[{"role": "user", "content": problem.question}] for problem in asked]
        prompts = self._tokenizer.apply_chat_template(chats, add_generation_prompt=True, tokenize=False)
        inputs = self._tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
        inputs.pop("token_type_ids", None)
        chosen = {"do_sample": False} if greedy else {"do_sample": True, "temperature": self._temperature, "top_k": 0}
        made = self._model.generate(
            **inputs, **chosen, max_new_tokens=LONGEST_ANSWER, output_logits=True, return_dict_in_generate=True
        )
        tokens = made.sequences[:, inputs["input_ids"].shape[1] :]
        logprobs = torch.log_softmax(torch.stack(made.logits, dim=1).float(), dim=-1)
        taken = logprobs.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
        return [self._vote(row, row_logprobs, node) for row, row_logprobs in zip(tokens, taken, strict=True)]

    def _vote(self, tokens: torch.Tensor, logprobs: torch.Tensor, node: int) -> PeerVote:
        ends = (tokens == self._tokenizer.eos_token_id).nonzero()
        count = int(ends[0]) + 1 if len(ends) else len(tokens)
        reason: FinishReason = "stop" if len(ends) else "length"
        return PeerVote(
            node=NodeId(f"node{node}"),
            text=self._tokenizer.decode(tokens[:count], skip_special_tokens=True),
            finish_reason=reason,
            tokens=count,
            mean_logprob=float(logprobs[:count].mean()),
            model="demo",
            model_digest="demo",
            latency_s=float(count),
        )


def in_batches(draw: Callable[[Sequence[Problem]], list[PeerVote]], asked: Sequence[Problem]) -> list[PeerVote]:
    return list(itertools.chain.from_iterable(draw(asked[at : at + BATCH]) for at in range(0, len(asked), BATCH)))


def interval(right: Sequence[float], rng: random.Random) -> tuple[float, float]:
    """95 % of the mean, by bootstrap over problems."""
    means = sorted(sum(rng.choices(right, k=len(right))) / len(right) for _ in range(RESAMPLES))
    return means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES)]


def row(
    name: str, right: Sequence[float], single: Sequence[float], asked: Sequence[Problem], rng: random.Random
) -> str:
    low, high = interval(right, rng)
    gains = [chosen - one for chosen, one in zip(right, single, strict=True)]
    gain_low, gain_high = interval(gains, rng)
    kinds = [
        sum(share for share, problem in zip(right, asked, strict=True) if problem.kind == kind)
        / sum(problem.kind == kind for problem in asked)
        for kind in KINDS
    ]
    gain = f"{100 * sum(gains) / len(gains):+.1f} ({100 * gain_low:+.1f} to {100 * gain_high:+.1f})"
    shares = " | ".join(f"{100 * share:.0f}" for share in kinds)
    return f"| {name} | {100 * sum(right) / len(right):.1f} ({100 * low:.1f} to {100 * high:.1f}) | {gain} | {shares} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("swarm/demo_model"))
    parser.add_argument("--problems", type=int, default=250, help="held-out problems, spread over the kinds")
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    rng = random.Random(arguments.seed)
    per_kind = -(-arguments.problems // len(KINDS))
    asked = [
        problem for kind in KINDS for problem in itertools.islice(problems(777, held_out=True, kind=kind), per_kind)
    ]
    sampler = Sampler(arguments.model, arguments.temperature)
    drawn = [in_batches(lambda part, n=node: sampler.answers(part, n), asked) for node in range(max(SIZES))]
    votes = list(zip(*drawn, strict=True))
    greedy = in_batches(lambda part: sampler.answers(part, 0, greedy=True), asked)
    single = [
        sum(graded(problem, vote.text) for vote in row_votes) / len(row_votes)
        for problem, row_votes in zip(asked, votes, strict=True)
    ]
    print(f"{len(asked)} held-out problems, temperature {arguments.temperature}, {max(SIZES)} samples each\n")
    print(f"| answer | right, % | gain over one sample, points | {' | '.join(KINDS)} |")
    print(f"| --- | --- | --- | {' | '.join('---' for _ in KINDS)} |")
    print(row("one sample", single, single, asked, rng))
    right = [float(graded(problem, vote.text)) for problem, vote in zip(asked, greedy, strict=True)]
    print(row("greedy", right, single, asked, rng))
    for size, strategy in itertools.product(SIZES, STRATEGIES):
        rules = VoteRules(invited=tuple(NodeId(f"node{node}") for node in range(size)))
        right = [
            float(graded(problem, decide(strategy, row_votes[:size], rules).winner.text))
            for problem, row_votes in zip(asked, votes, strict=True)
        ]
        print(row(f"{strategy}, N = {size}", right, single, asked, rng))
    best = [float(any(graded(p, vote.text) for vote in row_votes)) for p, row_votes in zip(asked, votes, strict=True)]
    print(row(f"any of {max(SIZES)} (bound)", best, single, asked, rng))


if __name__ == "__main__":
    main()
