"""Train the demo model that ships with the project, from data that `demo_tasks` generates. CPU only, seeded.

    python scripts/train_demo_model.py --out swarm/demo_model --steps 16000

A Llama of about 1.2 million parameters and 6 layers, so that it splits over several machines, with a byte-level BPE
tokenizer that keeps digits apart. It prints the held-out accuracy by kind of task and writes it into the model card.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import torch
from demo_tasks import KINDS, SMALL_TALK, Problem, graded, problems
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL_TOKENS = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"]
SYSTEM_PROMPTS = ("You are a helpful assistant.", "Be brief.", "Answer the question.")
CONTEXT_TOKENS = 1024
VOCABULARY = 768
IGNORED = -100
"""The label that torch's cross entropy leaves out of the loss."""

MODEL_CARD = """# The demo model

A Llama with {layers} layers and {parameters:,} parameters, trained from scratch by `scripts/train_demo_model.py` on
questions that the project generates itself ({kinds}). It knows nothing else. It exists so that a fresh
machine can answer without the internet, and so that answers can be graded exactly.

Held-out problems answered exactly, one sample at temperature 0.8:

| kind | right |
| --- | --- |
{rows}
| **mean** | **{mean:.1%}** |

No third-party text or weights went into it; it is under the project's own licence.
"""


def train_tokenizer(seed: int) -> PreTrainedTokenizerFast:
    texts = (text for p in itertools.islice(problems(seed, held_out=False), 20000) for text in (p.question, p.answer))
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    core.decoder = decoders.ByteLevel()
    core.train_from_iterator(
        itertools.chain(texts, SMALL_TALK, SMALL_TALK.values(), SYSTEM_PROMPTS),
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=SPECIAL_TOKENS,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|end|>",
        pad_token="<|pad|>",
        additional_special_tokens=SPECIAL_TOKENS[2:],
        model_max_length=CONTEXT_TOKENS,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def new_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=352,
            num_hidden_layers=6,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT_TOKENS,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def conversation(rng: random.Random, stream: Iterator[Problem]) -> list[tuple[str, str]]:
    """Mostly one question; some with a system prompt, an earlier turn, or small talk, as in ordinary use."""
    turns: list[tuple[str, str]] = []
    if rng.random() < 0.15:
        turns.append(("system", SYSTEM_PROMPTS[rng.randrange(len(SYSTEM_PROMPTS))]))
    for _ in range(1 + (rng.random() < 0.12)):
        if rng.random() < 0.03:
            question, answer = list(SMALL_TALK.items())[rng.randrange(len(SMALL_TALK))]
        else:
            problem = next(stream)
            question, answer = problem.question, problem.answer
        turns += [("user", question), ("assistant", answer)]
    return turns


def encode(tokenizer: PreTrainedTokenizerFast, turns: list[tuple[str, str]]) -> tuple[list[int], list[int]]:
    """Token ids and labels; only what the assistant says is learned."""
    ids: list[int] = []
    labels: list[int] = []
    for role, text in turns:
        head = tokenizer.convert_tokens_to_ids(f"<|{role}|>")
        body = [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]
        ids += [head, *body]
        labels += [IGNORED, *(body if role == "assistant" else [IGNORED] * len(body))]
    return ids, labels


def subset(seed: int, share: float) -> Iterator[Problem]:
    """Training problems without those that this seed leaves out, so that members differ."""
    for problem in problems(seed + 1, held_out=False):
        if zlib.crc32(f"{seed} {problem.identity}".encode()) % 100 < share * 100:
            yield problem


def batches(
    tokenizer: PreTrainedTokenizerFast, seed: int, rows: int, share: float
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Pairs of [rows, tokens] ids and labels; rows of similar length share a batch, so little is padding."""
    rng, stream = random.Random(seed), subset(seed, share)
    while True:
        pool = sorted(
            (encode(tokenizer, conversation(rng, stream)) for _ in range(rows * 16)), key=lambda row: len(row[0])
        )
        groups = [pool[start : start + rows] for start in range(0, len(pool), rows)]
        rng.shuffle(groups)
        for group in groups:
            width = max(len(ids) for ids, _ in group)
            ids = torch.full((rows, width), tokenizer.pad_token_id)
            labels = torch.full((rows, width), IGNORED)
            for row, (row_ids, row_labels) in enumerate(group):
                ids[row, : len(row_ids)] = torch.tensor(row_ids)
                labels[row, : len(row_labels)] = torch.tensor(row_labels)
            yield ids, labels


@torch.no_grad()
def sample_answers(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, asked: list[Problem], temperature: float
) -> list[str]:
    prompts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": p.question}], add_generation_prompt=True, tokenize=False
        )
        for p in asked
    ]
    inputs = tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False)
    inputs.pop("token_type_ids", None)
    chosen = (
        {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
        if temperature
        else {"do_sample": False}
    )
    made = model.generate(**inputs, max_new_tokens=96, pad_token_id=tokenizer.pad_token_id, **chosen)
    return tokenizer.batch_decode(made[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def accuracy(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, per_kind: int, temperature: float
) -> dict[str, float]:
    """Share of held-out problems answered exactly, by kind of task."""
    model.eval()
    right: dict[str, float] = {}
    for kind in KINDS:
        asked = list(itertools.islice(problems(12345, held_out=True, kind=kind), per_kind))
        texts = sample_answers(model, tokenizer, asked, temperature)
        right[kind] = sum(map(graded, asked, texts)) / per_kind
    model.train()
    return right


def mean(right: dict[str, float]) -> float:
    return sum(right.values()) / len(right)


def train(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, arguments: argparse.Namespace) -> None:
    """AdamW with warm-up and a linear decay; stops at `--stop-at` when that accuracy is reached first."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=arguments.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / 300, max(0.02, 1 - step / arguments.steps))
    )
    began, seen = time.monotonic(), batches(tokenizer, arguments.seed, arguments.rows, arguments.share)
    for step, (ids, labels) in zip(range(1, arguments.steps + 1), seen, strict=False):
        loss = model(input_ids=ids, labels=labels, use_cache=False).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(f"step {step} loss {loss.item():.4f} {(time.monotonic() - began) / step:.3f} s a step", flush=True)
        if step % arguments.check_every == 0:
            right = accuracy(model, tokenizer, 60, 0.8)
            print(f"step {step} held-out at temperature 0.8: {mean(right):.3f} {right}", flush=True)
            save(model, tokenizer, arguments.out, right)
            if mean(right) >= arguments.stop_at:
                return


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path, right: dict[str, float]) -> None:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    size = sum(p.numel() for p in model.parameters())
    rows = "\n".join(f"| {kind} | {share:.1%} |" for kind, share in right.items())
    (folder / "README.md").write_text(
        MODEL_CARD.format(
            layers=model.config.num_hidden_layers, parameters=size, rows=rows, mean=mean(right), kinds=", ".join(KINDS)
        )
    )


def arguments_of(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    parser.add_argument("--steps", type=int, default=16000)
    parser.add_argument("--rows", type=int, default=64, help="conversations a step")
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--share", type=float, default=1.0, help="of the training problems, those that it ever sees")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--check-every", type=int, default=1000, help="steps between two held-out checks")
    parser.add_argument("--stop-at", type=float, default=1.0, help="held-out accuracy at which to stop early")
    parser.add_argument("--final-per-kind", type=int, default=200, help="held-out problems a kind in the last check")
    return parser.parse_args(argv)


def main() -> None:
    arguments = arguments_of()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    tokenizer = train_tokenizer(arguments.seed)
    model = new_model(tokenizer)
    train(model, tokenizer, arguments)
    right = accuracy(model, tokenizer, arguments.final_per_kind, 0.8)
    greedy = accuracy(model, tokenizer, arguments.final_per_kind, 0.0)
    save(model, tokenizer, arguments.out, right)
    print(json.dumps({"held_out_at_0.8": right, "mean": mean(right), "greedy": greedy, "greedy_mean": mean(greedy)}))


if __name__ == "__main__":
    main()
