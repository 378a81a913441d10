"""What values of `Sampling` can be honoured; the same for a client's request and for another node's."""

from __future__ import annotations

from swarm.domain.errors import RequestError
from swarm.domain.generation import Sampling

MOST_TOKENS = 2**31 - 1
MOST_ALTERNATIVES = 20
MOST_STOPS = 64
MOST_BIASES = 4096
LEAST_PENALTY = 0.01
"""Logits are divided by it: less makes them infinite."""


def refuse_bad_sampling(sampling: Sampling) -> None:
    """Raises `RequestError` for the first value that is out of its range, under OpenAI's name for it."""
    for name, value, low, high in (
        ("temperature", sampling.temperature, 0, 2),
        ("top_p", sampling.top_p, 0, 1),
        ("max_tokens", sampling.max_tokens, 0, MOST_TOKENS),
        ("seed", sampling.seed, -(2**63), 2**64 - 1),
        ("top_k", sampling.top_k, 0, MOST_TOKENS),
        ("min_p", sampling.min_p, 0, 1),
        ("presence_penalty", sampling.presence_penalty, -2, 2),
        ("frequency_penalty", sampling.frequency_penalty, -2, 2),
        ("repetition_penalty", sampling.repetition_penalty, LEAST_PENALTY, 10),
        ("logprobs", sampling.logprobs, 0, MOST_ALTERNATIVES),
        ("min_tokens", sampling.min_tokens, 0, MOST_TOKENS),
    ):
        if value is not None and not low <= value <= high:
            raise RequestError(f"`{name}` must be from {low} to {high}.", param=name)
    if sampling.top_p == 0:
        raise RequestError("`top_p` must be above 0.", param="top_p")
    _refuse_bad_lists(sampling)


def _refuse_bad_lists(sampling: Sampling) -> None:
    if len(sampling.stop) > MOST_STOPS or "" in sampling.stop:
        raise RequestError(f"`stop` must hold at most {MOST_STOPS} strings, and no empty one.", param="stop")
    if len(sampling.stop_token_ids) > MOST_STOPS:
        raise RequestError(f"`stop_token_ids` must hold at most {MOST_STOPS} ids.", param="stop_token_ids")
    if len(sampling.logit_bias) > MOST_BIASES or any(not -100 <= bias <= 100 for _, bias in sampling.logit_bias):
        raise RequestError(
            f"`logit_bias` must hold at most {MOST_BIASES} tokens, each with a value from -100 to 100.",
            param="logit_bias",
        )
