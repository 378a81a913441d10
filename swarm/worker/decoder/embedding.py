"""Texts as vectors: the mean over a text's tokens of the served model's last hidden states, of length 1.

The states are those that the head is given, after the last norm. Every token counts the same, also those that the
tokenizer adds. A causal model's later tokens know the earlier ones and not the reverse, so that these vectors tell less
than those of a model trained to embed; but they need no second model.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch

from swarm.domain.generation import Prompt
from swarm.wire.worker_commands import Embed
from swarm.wire.worker_events import Embedded
from swarm.worker.decoder.prompts import token_ids
from swarm.worker.decoder.steppers import Stepper
from swarm.worker.failures import Cancelled, PromptFailure

PIECE_TOKENS = 512
"""Read at once, so that a cancel does not wait for the rest of a long text."""


def embed(
    command: Embed,
    tokenizer: Any,
    context_tokens: int,
    open_stepper: Callable[[int], Stepper],
    cancelled: threading.Event,
) -> Embedded:
    """One vector an input. Raises `PromptFailure`, `BlocksMissing`, `Cancelled`."""
    texts = [_ids(tokenizer, given, context_tokens) for given in command.inputs]
    vectors = tuple(_vector(ids, open_stepper, cancelled) for ids in texts)
    return Embedded(command.id, vectors, sum(map(len, texts)))


def _ids(tokenizer: Any, given: Prompt, context_tokens: int) -> list[int]:
    try:
        return token_ids(tokenizer, given, context_tokens, room=0)
    except PromptFailure as error:
        raise PromptFailure(str(error), param="input", code=error.code) from error


def _vector(ids: Sequence[int], open_stepper: Callable[[int], Stepper], cancelled: threading.Event) -> bytes:
    """Little-endian float32."""
    total: torch.Tensor | float = 0.0
    with open_stepper(len(ids)) as stepper:
        for start in range(0, len(ids), PIECE_TOKENS):
            if cancelled.is_set():
                raise Cancelled
            total = total + stepper.states(ids[start : start + PIECE_TOKENS]).double().cpu().sum(dim=0)
    assert isinstance(total, torch.Tensor)
    vector = torch.nn.functional.normalize(total / len(ids), dim=0)
    return bytes(vector.float().numpy().astype("<f4").tobytes())
