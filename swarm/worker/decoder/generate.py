"""One answer: the loop over its tokens. Knows nothing about where the logits come from."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Generator, Sequence
from typing import Any

from swarm.domain.ids import FinishReason
from swarm.wire.worker_messages import Generate, Generated
from swarm.worker.decoder.detokenizer import Detokenizer
from swarm.worker.decoder.prompts import token_ids
from swarm.worker.decoder.sampler import Sampler
from swarm.worker.decoder.steppers import Stepper
from swarm.worker.decoder.stops import StopFinder
from swarm.worker.failures import Cancelled

PROMPT_PIECE_TOKENS = 512
"""A prompt is read in such pieces, so that a cancel does not wait for the rest of a long one."""


class _Answer:
    """The text so far: what may be shown, what is held back, and how many tokens stand for it."""

    def __init__(self, command: Generate, decode: Callable[[Sequence[int]], str]) -> None:
        self._id, self._text, self._stops = command.id, Detokenizer(decode), StopFinder(command.sampling.stop)
        self.tokens = 0
        self._unreported: list[int] = []
        self._logprob = 0.0

    @property
    def stopped(self) -> bool:
        return self._stops.found

    def count(self, token: int, logprob: float) -> None:
        self.tokens += 1
        self._unreported.append(token)
        self._logprob += logprob

    def recall(self, tokens: Sequence[int]) -> None:
        """Tokens whose text was sent before: it comes to the same state, and nothing of them is shown again."""
        for token in tokens:
            self.count(token, 0.0)
            self.add(token)
        self._unreported.clear()

    def add(self, token: int) -> Generated | None:
        """The piece that this token completes, if it completes one."""
        shown = self._stops.add(self._text.add(token))
        return self._piece(shown) if shown else None

    def finish(self, reason: FinishReason, prompt_tokens: int, stepper: Stepper) -> Generated:
        rest = self._stops.add(self._text.finish())
        rest += self._stops.finish()
        return self._piece(
            rest,
            finish_reason="stop" if self.stopped else reason,
            prompt_tokens=prompt_tokens,
            completion_tokens=self.tokens,
            route=stepper.route,
            servers=stepper.servers,
        )

    def _piece(self, text: str, **last: Any) -> Generated:
        ids = tuple(self._unreported)
        made = Generated(self._id, text, len(ids), self._logprob, ids, **last)
        self._unreported.clear()
        self._logprob = 0.0
        return made


def generate(
    command: Generate,
    tokenizer: Any,
    ends: Collection[int],
    context_tokens: int,
    open_stepper: Callable[[int], Stepper],
    cancelled: threading.Event,
) -> Generator[Generated, None, None]:
    """Pieces of the answer; the last has the finish reason and the counts.

    `open_stepper` is given the greatest length of the sequence. An answer that is resumed is read like a part of the
    prompt, and its draws count as drawn.
    Raises `PromptFailure`, `BlocksMissing`, `Cancelled`."""
    prompt = token_ids(tokenizer, command.prompt, context_tokens)
    room = context_tokens - len(prompt)
    limit = min(room, command.sampling.max_tokens or room)
    sampler = Sampler(command.sampling)
    answer = _Answer(command, lambda ids: str(tokenizer.decode(ids, skip_special_tokens=True)))
    answer.recall(command.resume)
    sampler.skip(answer.tokens)
    known = [*prompt, *command.resume]
    reason: FinishReason = "length"
    with open_stepper(len(prompt) + limit) as stepper:
        goes_on = not answer.stopped and answer.tokens < limit
        for start in range(0, len(known) if goes_on else 0, PROMPT_PIECE_TOKENS):
            _raise_if(cancelled)
            logits = stepper.step(known[start : start + PROMPT_PIECE_TOKENS])
        while goes_on and not answer.stopped:
            _raise_if(cancelled)
            token, logprob = sampler.choose(logits)
            answer.count(token, logprob)
            if token in ends:
                reason = "stop"
                break
            if piece := answer.add(token):
                yield piece
            if answer.tokens >= limit:
                break
            if not answer.stopped:
                logits = stepper.step([token])
        yield answer.finish(reason, len(prompt), stepper)


def _raise_if(cancelled: threading.Event) -> None:
    if cancelled.is_set():
        raise Cancelled
