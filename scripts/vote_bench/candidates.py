"""Answers of each member to each problem: drawn in batches, and kept in a file, so that arms run again cheaply."""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from demo_tasks import Problem
from transformers import AutoModelForCausalLM, AutoTokenizer

from swarm.domain.federation import PeerVote
from swarm.domain.ids import FinishReason, NodeId
from swarm.domain.seeds import derived_seed

BATCH = 128
LONGEST_ANSWER = 96
"""Tokens."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One answer of a member. `logprobs` are natural, at temperature 1, one a token."""

    text: str
    finish_reason: FinishReason
    logprobs: tuple[float, ...]

    def vote(self, node: str, digest: str) -> PeerVote:
        """As that member's node would send it; time counts in tokens."""
        tokens = len(self.logprobs)
        return PeerVote(
            node=NodeId(node),
            text=self.text,
            finish_reason=self.finish_reason,
            tokens=tokens,
            mean_logprob=sum(self.logprobs) / tokens,
            model=digest,
            model_digest=digest,
            latency_s=float(tokens),
        )


class Member:
    """One model: draws answers, and scores those of others by teacher forcing."""

    def __init__(self, folder: Path, temperature: float) -> None:
        self.name, self.temperature = folder.name, temperature
        self.digest = digest_of(folder)
        self._tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    @torch.inference_mode()
    def answers(self, asked: Sequence[Problem], seed: int, *, greedy: bool = False) -> list[Candidate]:
        """One a problem; the same seed, problems and build draw the same."""
        torch.manual_seed(seed)
        inputs = self._tokenizer(self._prompts(asked), return_tensors="pt", padding=True, add_special_tokens=False)
        inputs.pop("token_type_ids", None)
        chosen = {"do_sample": False} if greedy else {"do_sample": True, "temperature": self.temperature, "top_k": 0}
        made = self._model.generate(
            **inputs, **chosen, max_new_tokens=LONGEST_ANSWER, output_logits=True, return_dict_in_generate=True
        )
        tokens = made.sequences[:, inputs["input_ids"].shape[1] :]
        logprobs = torch.log_softmax(torch.stack(made.logits, dim=1).float(), dim=-1)
        taken = logprobs.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
        return [self._candidate(row, row_logprobs) for row, row_logprobs in zip(tokens, taken, strict=True)]

    @torch.inference_mode()
    def scores(self, asked: Sequence[Problem], texts: Sequence[str]) -> list[float]:
        """Mean natural-log probability that this member gives each text as the answer, its end mark included."""
        end = self._tokenizer.eos_token
        rows = [
            self._tokenizer(part, add_special_tokens=False)["input_ids"]
            for part in itertools.chain(self._prompts(asked), (text + end for text in texts))
        ]
        prompts, answers = rows[: len(asked)], rows[len(asked) :]
        width = max(len(prompt) + len(answer) for prompt, answer in zip(prompts, answers, strict=True))
        ids = torch.full((len(asked), width), self._tokenizer.pad_token_id)
        for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
            ids[row, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
        logprobs = torch.log_softmax(self._model(input_ids=ids, use_cache=False).logits.float(), dim=-1)
        taken = logprobs[:, :-1].gather(-1, ids[:, 1:].unsqueeze(-1)).squeeze(-1)
        return [
            float(taken[row, len(prompt) - 1 : len(prompt) + len(answer) - 1].mean())
            for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True))
        ]

    def _prompts(self, asked: Sequence[Problem]) -> list[str]:
        chats = [[{"role": "user", "content": problem.question}] for problem in asked]
        prompts: list[str] = self._tokenizer.apply_chat_template(chats, add_generation_prompt=True, tokenize=False)
        return prompts

    def _candidate(self, tokens: torch.Tensor, logprobs: torch.Tensor) -> Candidate:
        ends = (tokens == self._tokenizer.eos_token_id).nonzero()
        count = int(ends[0]) + 1 if len(ends) else len(tokens)
        text = self._tokenizer.decode(tokens[:count], skip_special_tokens=True)
        taken = tuple(round(min(float(value), 0.0), 5) for value in logprobs[:count])
        return Candidate(text, "stop" if len(ends) else "length", taken)


def digest_of(folder: Path) -> str:
    """Of the weights: a folder that was trained anew is another member."""
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()[:12]


class Cache:
    """A file of JSON lines, one a batch; what is not there yet is made and added."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._batches: dict[str, list[Any]] = dict(_lines(path)) if path.exists() else {}

    def answers(self, folder: Path, asked: Sequence[Problem], sample: int, temperature: float) -> list[Candidate]:
        """The answers of one member, in the order of the problems. `sample` -1 is greedy."""
        made = []
        member: Member | None = None
        for batch in _in_batches(asked):
            key = f"{digest_of(folder)} {sample} {temperature} {_identity(batch)}"
            if key not in self._batches:
                member = member or Member(folder, temperature)
                began = time.monotonic()
                drawn = member.answers(batch, derived_seed(key, sample), greedy=sample < 0)
                self._add(key, [asdict(candidate) for candidate in drawn])
                print(f"# {folder.name}, sample {sample}: {time.monotonic() - began:.1f} s a batch", flush=True)
            made += self._batches[key]
        return [Candidate(row["text"], row["finish_reason"], tuple(row["logprobs"])) for row in made]

    def scores(self, folder: Path, asked: Sequence[Problem], texts: Sequence[str]) -> list[float]:
        """What one member thinks of these texts; see `Member.scores`."""
        made: list[float] = []
        member: Member | None = None
        for batch, some in zip(_in_batches(asked), _in_batches(texts), strict=True):
            key = f"{digest_of(folder)} scores {_identity(batch)} {hashlib.sha256(repr(some).encode()).hexdigest()}"
            if key not in self._batches:
                member = member or Member(folder, 1.0)
                self._add(key, [round(score, 5) for score in member.scores(batch, some)])
            made += self._batches[key]
        return made

    def _add(self, key: str, rows: list[Any]) -> None:
        self._batches[key] = rows
        with self._path.open("a") as file:
            file.write(json.dumps([key, rows]) + "\n")


def _lines(path: Path) -> Iterator[tuple[str, list[Any]]]:
    for line in path.read_text().splitlines():
        key, rows = json.loads(line)
        yield key, rows


def _in_batches(rows: Sequence[Any]) -> list[list[Any]]:
    return [list(rows[at : at + BATCH]) for at in range(0, len(rows), BATCH)]


def _identity(batch: Sequence[Problem]) -> str:
    return hashlib.sha256("\n".join(problem.question for problem in batch).encode()).hexdigest()[:16]
