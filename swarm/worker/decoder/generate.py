"""One answer: the loop over its tokens. Knows nothing about where the logits come from."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch

from swarm.domain.ids import FinishReason
from swarm.wire.worker_commands import Generate
from swarm.wire.worker_events import Generated
from swarm.worker.decoder.answer import Answer
from swarm.worker.decoder.echo import Echo
from swarm.worker.decoder.forms import Forms, offered_tools
from swarm.worker.decoder.prompts import token_ids
from swarm.worker.decoder.sampler import Chosen, Sampler
from swarm.worker.decoder.steppers import Stepper
from swarm.worker.decoder.token_texts import TokenTexts
from swarm.worker.failures import Cancelled

PROMPT_PIECE_TOKENS = 512
"""A prompt is read in such pieces, so that a cancel does not wait for the rest of a long one."""
NO_TURN: AbstractContextManager[Any] = contextlib.nullcontext()


def generate(
    command: Generate,
    tokenizer: Any,
    ends: Collection[int],
    forms: Forms,
    context_tokens: int,
    open_stepper: Callable[[int], Stepper],
    cancelled: threading.Event,
    turn: AbstractContextManager[Any] = NO_TURN,
) -> Generator[Generated, None, None]:
    """Pieces of the answer; the last has the finish reason and the counts.

    `open_stepper` is given the greatest length of the sequence; `turn` is held while a token is chosen. An
    answer that is resumed is read like a part of the prompt, its draws count as drawn, and its tokens for the
    penalties.
    Raises `PromptFailure`, `BlocksMissing`, `Cancelled`."""
    prompt = token_ids(tokenizer, command.prompt, context_tokens, offered_tools(command), command.template)
    sampling = command.sampling
    room = context_tokens - len(prompt)
    limit = room if sampling.max_tokens is None else min(room, sampling.max_tokens)
    stops_at = frozenset(sampling.stop_token_ids) | (frozenset() if sampling.ignore_eos else frozenset(ends))
    form = forms.open(command, prompt)
    decode, texts = _decoder(tokenizer, form.seen), TokenTexts(tokenizer)
    sampler, answer = Sampler(sampling, prompt, stops_at), Answer(command, decode, texts, prompt)
    for at, (token, text) in enumerate(zip(command.resume, answer.recall(command.resume), strict=True)):
        form.recall(token, text, limit - at)
    sampler.recall(command.resume)
    echo = Echo(command, prompt, decode, texts) if command.echo else None
    reason: FinishReason = "length"
    end: Chosen | None = None
    with open_stepper(len(prompt) + limit) as stepper:
        goes_on = not answer.stopped and not form.finished and answer.tokens < limit
        if goes_on or (echo and echo.needs_logits):
            logits = _read(stepper, [*prompt, *command.resume], cancelled, echo)
        if echo:
            yield echo.piece()
        while goes_on and not answer.stopped:
            _raise_if(cancelled)
            allowed = form.allowed()
            with turn:
                chosen = sampler.choose(logits, allowed)
            token = form.take(chosen.token, limit - answer.tokens)
            if token != chosen.token:
                chosen = sampler.instead(logits, token)
            if chosen.token in stops_at:
                reason, end = "stop", chosen
                break
            if piece := form.shaped(answer.add(chosen)):
                yield piece
            if form.finished or answer.tokens >= limit:
                break
            if not answer.stopped:
                logits = stepper.step([chosen.token])
        if form.finished or form.complete:
            reason = "stop"
        yield form.last(answer.finish(end, reason, len(prompt), stepper))


def _read(stepper: Stepper, ids: Sequence[int], cancelled: threading.Event, echo: Echo | None) -> torch.Tensor:
    """The logits that follow the last of these tokens; `echo` sees those that follow each, where it needs them."""
    if echo and echo.needs_logits:
        return echo.read(stepper, ids, lambda: _raise_if(cancelled))
    for start in range(0, len(ids), PROMPT_PIECE_TOKENS):
        _raise_if(cancelled)
        logits = stepper.step(ids[start : start + PROMPT_PIECE_TOKENS])
    return logits


def _decoder(tokenizer: Any, seen: Collection[int]) -> Callable[[Sequence[int]], str]:
    """`seen`: special tokens that are text all the same."""
    # Without the tidying of spaces before punctuation, which changes text that was sent already.
    if not seen:
        return lambda ids: str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))
    hidden = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special} - set(seen)
    return lambda ids: str(
        tokenizer.decode(
            [number for number in ids if number not in hidden],
            skip_special_tokens=False,
            clean_up_tokenization_spaces=False,
        )
    )


def _raise_if(cancelled: threading.Event) -> None:
    if cancelled.is_set():
        raise Cancelled
