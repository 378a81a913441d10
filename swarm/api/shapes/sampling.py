"""How tokens are chosen, in OpenAI's words and those that vLLM, llama.cpp and others have added."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from swarm.api.shapes.base import Shape, only, refusal
from swarm.domain.generation import Sampling
from swarm.domain.sampling_limits import LEAST_PENALTY, MOST_ALTERNATIVES, MOST_BIASES, MOST_STOPS, MOST_TOKENS

LARGEST_BIAS = 100
LONGEST_ID_DIGITS = 9

TokenId = Annotated[int, Field(ge=0, le=MOST_TOKENS)]
StopText = Annotated[str, StringConstraints(min_length=1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Repetition = Annotated[float, Field(ge=LEAST_PENALTY, le=10)]


class SamplingShape(Shape):
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """0 is greedy; 1 where it is not said."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    """0 and -1: all tokens."""
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repetition_penalty: Repetition | None = None
    repeat_penalty: Repetition | None = None
    """Another name of `repetition_penalty`."""
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: StopText | Annotated[list[StopText], Field(max_length=MOST_STOPS)] | None = None
    stop_token_ids: Annotated[list[TokenId], Field(max_length=MOST_STOPS)] | None = None
    logit_bias: (
        Annotated[dict[str, Annotated[float, Field(ge=-LARGEST_BIAS, le=LARGEST_BIAS)]], Field(max_length=MOST_BIASES)]
        | None
    ) = None
    """By the token's id, as a string of digits."""
    min_tokens: Annotated[int, Field(ge=0)] | None = None
    ignore_eos: bool | None = None

    include_stop_str_in_output: only(False) = None  # type: ignore[valid-type]
    skip_special_tokens: only(True) = None  # type: ignore[valid-type]
    use_beam_search: only(False) = None  # type: ignore[valid-type]
    prompt_logprobs: only() = None  # type: ignore[valid-type]
    truncate_prompt_tokens: only() = None  # type: ignore[valid-type]
    bad_words: only([]) = None  # type: ignore[valid-type]
    typical_p: only(1) = None  # type: ignore[valid-type]
    tfs_z: only(1) = None  # type: ignore[valid-type]
    mirostat: only(0) = None  # type: ignore[valid-type]
    xtc_probability: only(0) = None  # type: ignore[valid-type]
    dry_multiplier: only(0) = None  # type: ignore[valid-type]
    grammar: only("") = None  # type: ignore[valid-type]
    guided_json: only() = None  # type: ignore[valid-type]
    guided_regex: only() = None  # type: ignore[valid-type]
    guided_choice: only() = None  # type: ignore[valid-type]
    guided_grammar: only() = None  # type: ignore[valid-type]
    structured_outputs: only() = None  # type: ignore[valid-type]


def sampling_of(body: SamplingShape, max_tokens: int | None, logprobs: int | None) -> Sampling:
    """Raises `RequestError`. `logprobs`: how many alternatives; None tells nothing."""
    plain = Sampling()
    penalty = _first(body.repetition_penalty, body.repeat_penalty, plain.repetition_penalty)
    return Sampling(
        temperature=_first(body.temperature, plain.temperature),
        top_p=_first(body.top_p, plain.top_p),
        max_tokens=_capped(max_tokens),
        stop=_stops(body),
        seed=body.seed,
        top_k=min(max(body.top_k or 0, 0), MOST_TOKENS),
        min_p=body.min_p or 0.0,
        presence_penalty=body.presence_penalty or 0.0,
        frequency_penalty=body.frequency_penalty or 0.0,
        repetition_penalty=penalty,
        logit_bias=_biases(body),
        logprobs=None if logprobs is None else min(logprobs, MOST_ALTERNATIVES),
        min_tokens=_capped(body.min_tokens) or 0,
        ignore_eos=body.ignore_eos or False,
        stop_token_ids=tuple(body.stop_token_ids or ()),
    )


def _first(*values: Any) -> Any:
    return next(value for value in values if value is not None)


def _capped(count: int | None) -> int | None:
    """Whatever is beyond every context means the same."""
    return None if count is None else min(count, MOST_TOKENS)


def _stops(body: SamplingShape) -> tuple[str, ...]:
    return (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())


def _biases(body: SamplingShape) -> tuple[tuple[int, float], ...]:
    given = body.logit_bias or {}
    for key in given:
        if not (key.isascii() and key.isdigit() and len(key) <= LONGEST_ID_DIGITS):
            raise refusal(("logit_bias",), f"has the key {key[:40]!r}, which is not the id of a token.")
    return tuple((int(key), bias) for key, bias in given.items())
