"""How likely the model finds a given answer: its tokens are read, not sampled."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch

from swarm.wire.worker_commands import Score
from swarm.wire.worker_events import Scored
from swarm.worker.decoder.generate import PROMPT_PIECE_TOKENS
from swarm.worker.decoder.prompts import token_ids
from swarm.worker.decoder.steppers import LOGITS_AT_ONCE, Stepper
from swarm.worker.failures import Cancelled, PromptFailure

MOST_TOKENS = 1024
"""Of a text that are looked at, from its start: scoring is a favour, and its cost must be bounded."""


def score(
    command: Score,
    tokenizer: Any,
    context_tokens: int,
    open_stepper: Callable[[int], Stepper],
    cancelled: threading.Event,
) -> Scored:
    """Reads prompt and text once. Raises `PromptFailure`, `BlocksMissing`, `Cancelled`."""
    prompt = token_ids(tokenizer, command.prompt, context_tokens)
    text = list(tokenizer.encode(command.text, add_special_tokens=False))
    ids = prompt + text[: min(MOST_TOKENS, context_tokens - len(prompt))]
    known = len(prompt) - 1  # Its logits already speak of the text's first token.
    if not text:
        raise PromptFailure("There is no text to score; send at least one character", param="texts")
    total = 0.0
    with open_stepper(len(ids)) as stepper:
        for start in range(0, known, PROMPT_PIECE_TOKENS):
            _raise_if(cancelled)
            stepper.step(ids[start : min(start + PROMPT_PIECE_TOKENS, known)])
        for start in range(known, len(ids) - 1, LOGITS_AT_ONCE):
            _raise_if(cancelled)
            end = min(start + LOGITS_AT_ONCE, len(ids) - 1)
            total += _logprob(stepper.step_all(ids[start:end]), ids[start + 1 : end + 1])
    count = len(ids) - len(prompt)
    return Scored(command.id, min(0.0, total / count), count)


def _logprob(logits: torch.Tensor, tokens: list[int]) -> float:
    """Sum over the positions of [tokens, vocabulary] logits."""
    logprobs = torch.log_softmax(logits.float().cpu(), dim=-1)
    return float(logprobs.gather(-1, torch.tensor(tokens).unsqueeze(-1)).sum())


def _raise_if(cancelled: threading.Event) -> None:
    if cancelled.is_set():
        raise Cancelled
