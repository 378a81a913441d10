"""What quantised layers cost in exactness, and what they save in memory and time.

    python scripts/bench_quantization.py [--problems 100] [--hidden 1024] [--layers 8]

Exactness: the demo model on held-out problems, each setting fed the exact model's own answers token by token, so that
differences do not add up from one token to the next; and greedy answers of its own, graded exactly. Time and memory: a
random Llama, because the demo model's matrices are too small to wait for memory. Settings take turns within each round;
what counts are the ratios to `none` in the same run.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from demo_tasks import KINDS, Problem, graded, problems
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from chain_bench.checkpoints import DEMO_FOLDER, make_llama
from chain_bench.weights_held import bytes_of

from swarm.domain.ids import Quantization
from swarm.domain.nodes import BlockSpan
from swarm.worker.families.checkpoint import open_checkpoint
from swarm.worker.families.model import LoadedModel, load_model
from swarm.worker.families.plain import PlainSequence

SETTINGS: tuple[tuple[Quantization, torch.dtype], ...] = (
    ("none", torch.float32),
    ("none", torch.bfloat16),
    ("int8", torch.float32),
    ("int8", torch.bfloat16),
    ("int4", torch.bfloat16),
)
SEED = 2
LONGEST_ANSWER = 96
"""Tokens."""
ROUNDS, STEPS, PROMPT = 7, 8, 64


def load(folder: Path, kind: Quantization, dtype: torch.dtype) -> LoadedModel:
    checkpoint = open_checkpoint(str(folder), "bench").quantised(kind)
    return load_model(checkpoint, BlockSpan(0, checkpoint.info.layers), "cpu", dtype)


def prompt_of(model: LoadedModel, problem: Problem) -> list[int]:
    chat = [{"role": "user", "content": problem.question}]
    text = model.tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    ids: list[int] = model.tokenizer(text, add_special_tokens=False).input_ids
    return ids


def answer(model: LoadedModel, prompt: Sequence[int]) -> list[int]:
    """Greedy, up to the token that ends it."""
    sequence, tokens = PlainSequence(model.causal), []
    logits = sequence.step(prompt)
    while len(tokens) < LONGEST_ANSWER:
        token = int(logits.argmax())
        if token in model.end_tokens:
            break
        tokens.append(token)
        logits = sequence.step([token])
    return tokens


@torch.inference_mode()
def logits_along(model: LoadedModel, prompt: Sequence[int], tokens: Sequence[int]) -> torch.Tensor:
    """[tokens + 1, vocabulary]: what follows the prompt and each token of a given answer."""
    made = model.causal(input_ids=torch.tensor([[*prompt, *tokens]]), use_cache=False).logits
    return made[0, len(prompt) - 1 :].float()


@dataclass(frozen=True, slots=True)
class Exactness:
    largest: float
    mean: float
    same_tokens: float
    same_answers: float
    right: float

    def row(self, name: str) -> str:
        shares = " | ".join(f"{share:.1%}" for share in (self.same_tokens, self.same_answers, self.right))
        return f"| {name} | {self.largest:.2g} | {self.mean:.2g} | {shares} |"


def measure_exactness(model: LoadedModel, asked: Sequence[Problem], truth: Sequence[Any]) -> Exactness:
    differences, same_tokens, same_answers, right = [], [], [], []
    for problem, (prompt, tokens, expected) in zip(asked, truth, strict=True):
        made = logits_along(model, prompt, tokens)
        differences.append((made - expected).abs())
        same_tokens.append(made.argmax(-1) == expected.argmax(-1))
        own = answer(model, prompt)
        same_answers.append(own == tokens)
        right.append(graded(problem, model.tokenizer.decode(own, skip_special_tokens=True)))
    return Exactness(
        max(float(difference.max()) for difference in differences),
        float(torch.cat(differences).mean()),
        float(torch.cat(same_tokens).float().mean()),
        sum(same_answers) / len(asked),
        sum(right) / len(asked),
    )


def layers_of(model: LoadedModel) -> list[nn.Module]:
    assert model.blocks is not None
    return list(model.blocks.layers.values())


def one_round(model: LoadedModel) -> tuple[float, float]:
    """Seconds of a prompt, and of a token after it."""
    sequence, ids = PlainSequence(model.causal), [5] * PROMPT
    started = time.perf_counter()
    sequence.step(ids)
    prefilled = time.perf_counter()
    for _ in range(STEPS):
        sequence.step([5])
    return prefilled - started, (time.perf_counter() - prefilled) / STEPS


def name_of(kind: Quantization, dtype: torch.dtype) -> str:
    return f"{kind}, {str(dtype).removeprefix('torch.')}"


def print_exactness(count: int) -> None:
    each = max(1, count // len(KINDS))
    asked = [problem for kind in KINDS for problem in itertools.islice(problems(SEED, held_out=True, kind=kind), each)]
    exact = load(DEMO_FOLDER, *SETTINGS[0])
    truth = []
    for problem in asked:
        prompt = prompt_of(exact, problem)
        tokens = answer(exact, prompt)
        truth.append((prompt, tokens, logits_along(exact, prompt, tokens)))
    spread = float(torch.cat([expected for _, _, expected in truth]).std())
    print(f"The demo model, {len(asked)} held-out problems; the logits' standard deviation is {spread:.2f}.\n")
    print("| layers, rest | largest difference of a logit | mean | same next token | same answer | right |")
    print("| --- | --- | --- | --- | --- | --- |")
    for setting in SETTINGS:
        print(measure_exactness(load(DEMO_FOLDER, *setting), asked, truth).row(name_of(*setting)), flush=True)


def print_cost(folder: Path, layers: int, hidden: int) -> None:
    make_llama(folder, layers=layers, hidden=hidden)
    models = {setting: load(folder, *setting) for setting in SETTINGS}
    times: dict[Any, list[tuple[float, float]]] = {setting: [] for setting in SETTINGS}
    for model in models.values():
        one_round(model)
    for _ in range(ROUNDS):
        for setting, model in models.items():
            times[setting].append(one_round(model))
    full = bytes_of(layers_of(models[SETTINGS[0]]))
    prompt_s, token_s = (statistics.median(column) for column in zip(*times[SETTINGS[0]], strict=True))
    print(f"\nA Llama of {layers} layers of {hidden}, {torch.get_num_threads()} threads; ratios to the first row.\n")
    print(f"| layers, rest | memory of the layers | a token after {PROMPT} | a prompt of {PROMPT} |")
    print("| --- | --- | --- | --- |")
    for setting, model in models.items():
        prompt, token = (statistics.median(column) for column in zip(*times[setting], strict=True))
        held = bytes_of(layers_of(model))
        sizes = f"{held / 2**20:.0f} MiB, {held / full:.2f}"
        print(
            f"| {name_of(*setting)} | {sizes} | {token * 1e3:.1f} ms, {token / token_s:.2f} "
            f"| {prompt * 1e3:.0f} ms, {prompt / prompt_s:.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=100, help="0: time and memory only")
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(arguments.threads)
    if arguments.problems:
        print_exactness(arguments.problems)
    with tempfile.TemporaryDirectory() as folder:
        print_cost(Path(folder), arguments.layers, arguments.hidden)


if __name__ == "__main__":
    main()
