"""From logits to the next token.

The order, which is that of transformers, with OpenAI's formula for the two additive penalties: repetition penalty,
frequency and presence penalty, bias, then what may not come at all (a grammar, end tokens before `min_tokens`). The
best of these scores is the greedy token. Else they are divided by the temperature, and one is drawn from what top_k,
top_p and min_p leave, each of what the one before it left.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch

from swarm.domain.generation import Sampling
from swarm.domain.tokens import LEAST_LOGPROB
from swarm.worker.decoder import filters

SMALLEST_TEMPERATURE = 1e-6
"""Below this a draw would be the most likely token anyway, and dividing by it overflows."""


@dataclass(frozen=True, slots=True)
class Chosen:
    token: int
    logprob: float
    """Natural logarithm, of the model's own logits at temperature 1."""
    top: tuple[tuple[int, float], ...] = ()
    """The most likely tokens here and theirs, best first; as many as `Sampling.logprobs` says."""


class Sampler:
    """Chooses tokens for one answer. The same seed and logits give the same tokens."""

    def __init__(self, sampling: Sampling, prompt: Sequence[int] = (), ends: Collection[int] = ()) -> None:
        """`ends`: tokens at which the answer would end by itself."""
        self._sampling, self._prompt, self._ends = sampling, tuple(prompt), sorted(ends)
        self._random = random.Random(None if sampling.seed is None else sampling.seed % 2**63)
        self._made: list[int] = []
        self._counts: torch.Tensor | None = None
        """[vocabulary]: how often the answer has each token."""
        self._in_prompt: torch.Tensor | None = None

    def choose(self, logits: torch.Tensor, allowed: torch.Tensor | None = None) -> Chosen:
        """A token for [vocabulary] logits; of those that are true in `allowed` where it is given.

        Raises `ValueError` where the logits are no numbers."""
        logits = logits.float().cpu()
        scores = self._may_come(self._shaped(logits), allowed)
        best = int(scores.argmax())
        if not math.isfinite(float(scores[best])):
            raise ValueError("the model's logits are not numbers")
        token = best if self._is_greedy else self._draw(scores / self._sampling.temperature)
        self._note(token)
        return chosen(logits, token, self._sampling.logprobs or 0)

    def instead(self, logits: torch.Tensor, token: int) -> Chosen:
        """Takes the last choice back for this token; its draw stays drawn."""
        last = self._made.pop()
        if self._counts is not None:
            self._counts[last] -= 1
        self._note(token)
        return chosen(logits.float().cpu(), token, self._sampling.logprobs or 0)

    def recall(self, tokens: Sequence[int]) -> None:
        """Tokens that were chosen before, elsewhere, with the same seed: their draws are left out."""
        for token in tokens:
            self._note(token)
            if not self._is_greedy:
                self._random.random()

    @property
    def _is_greedy(self) -> bool:
        return self._sampling.temperature < SMALLEST_TEMPERATURE

    def _note(self, token: int) -> None:
        self._made.append(token)
        if self._counts is not None:
            self._counts[token] += 1

    def _shaped(self, logits: torch.Tensor) -> torch.Tensor:
        sampling, scores = self._sampling, logits
        if sampling.repetition_penalty != 1:
            factor = torch.where(scores > 0, 1 / sampling.repetition_penalty, sampling.repetition_penalty)
            scores = scores.where(~self._seen(len(logits)), scores * factor)
        if sampling.frequency_penalty or sampling.presence_penalty:
            counts = self._counted(len(logits))
            scores = scores - sampling.frequency_penalty * counts - sampling.presence_penalty * (counts > 0)
        if sampling.logit_bias:
            tokens, biases = zip(*sampling.logit_bias, strict=True)
            scores = scores.index_add(0, torch.tensor(tokens), torch.tensor(biases, dtype=scores.dtype))
        return scores

    def _may_come(self, scores: torch.Tensor, allowed: torch.Tensor | None) -> torch.Tensor:
        if allowed is not None:
            scores = scores.masked_fill(~allowed, -torch.inf)
        if self._ends and len(self._made) < self._sampling.min_tokens:
            longer = scores.index_fill(0, torch.tensor(self._ends), -torch.inf)
            # A grammar that is through allows nothing but the end.
            scores = longer if float(longer.max()) > -torch.inf else scores
        return scores

    def _counted(self, vocabulary: int) -> torch.Tensor:
        if self._counts is None:
            self._counts = torch.bincount(torch.tensor(self._made, dtype=torch.long), minlength=vocabulary).float()
        return self._counts

    def _seen(self, vocabulary: int) -> torch.Tensor:
        if self._in_prompt is None:
            self._in_prompt = torch.zeros(vocabulary, dtype=torch.bool)
            self._in_prompt[list(self._prompt)] = True
        return self._in_prompt | (self._counted(vocabulary) > 0)

    def _draw(self, scores: torch.Tensor) -> int:
        sampling = self._sampling
        probabilities = torch.softmax(scores, dim=-1)
        if sampling.top_k:
            probabilities = filters.top_k(probabilities, sampling.top_k)
        if sampling.top_p < 1:
            probabilities = filters.top_p(probabilities, sampling.top_p)
        if sampling.min_p:
            probabilities = filters.min_p(probabilities, sampling.min_p)
        # One number a token, whatever the vocabulary, so that draws can be skipped.
        cumulative = probabilities.double().cumsum(dim=-1)
        total = float(cumulative[-1])
        # Rounded up to the total it would be behind the last token that may come.
        at = min(self._random.random() * total, math.nextafter(total, 0.0))
        return int(torch.searchsorted(cumulative, at, right=True))


def chosen(logits: torch.Tensor, token: int, alternatives: int) -> Chosen:
    """What is told of this token at the place of these [vocabulary] logits."""
    total = torch.logsumexp(logits, dim=-1)
    logprob = float((logits[token] - total).clamp(LEAST_LOGPROB, 0))
    if not alternatives:
        return Chosen(token, logprob)
    best = logits.topk(min(alternatives, len(logits)))
    values = (best.values - total).clamp(LEAST_LOGPROB, 0).tolist()
    return Chosen(token, logprob, tuple(zip(best.indices.tolist(), values, strict=True)))
