"""OpenAI's request bodies become generation requests, one for each choice."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field

from swarm.api.shapes.base import Shape, only, read, refusal
from swarm.api.shapes.messages import Message, messages_of
from swarm.api.shapes.sampling import SamplingShape, TokenId, sampling_of
from swarm.api.shapes.swarm_options import SwarmShape, federation_of, resume_of, split_model
from swarm.api.shapes.tools import (
    MOST_TOOLS,
    FormatShape,
    ToolChoiceShape,
    ToolShape,
    response_format_of,
    tool_choice_of,
    tools_of,
)
from swarm.domain.generation import GenerationRequest, Prompt, Sampling
from swarm.domain.ids import RequestId, StrategyName
from swarm.domain.sampling_limits import MOST_ALTERNATIVES
from swarm.domain.tokens import TokenPrompt
from swarm.domain.tools import TemplateOptions, ToolChoice

MAX_CHOICES = 128
"""Prompts times choices of one request."""
MOST_CANDIDATES = 20
"""Of `best_of`, as OpenAI has it."""
COMPLETION_TOKENS = 16
"""OpenAI's default of `max_tokens` for /v1/completions."""


class StreamOptions(Shape):
    include_usage: bool | None = None


class AnswerShape(SwarmShape, SamplingShape):
    """What the bodies for both endpoints have in common."""

    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    return_token_ids: bool | None = None
    """Each piece comes with the ids of its tokens, as vLLM gives them."""
    user: str | None = None
    """Accepted, and used for nothing."""


class TemplateShape(Shape):
    """What the caller hands to the chat template."""

    reasoning_effort: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    add_generation_prompt: only(True) = None  # type: ignore[valid-type]
    continue_final_message: only(False) = None  # type: ignore[valid-type]
    chat_template: only() = None  # type: ignore[valid-type]


class ChatBody(AnswerShape, TemplateShape):
    """POST /v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """The older name; `max_completion_tokens` wins."""
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_ALTERNATIVES)] | None = None
    response_format: FormatShape | None = None
    tools: Annotated[list[ToolShape], Field(min_length=1, max_length=MOST_TOOLS)] | None = None
    tool_choice: ToolChoiceShape | None = None
    parallel_tool_calls: bool | None = None

    functions: only([]) = None  # type: ignore[valid-type]
    function_call: only("none", "auto") = None  # type: ignore[valid-type]
    modalities: only(["text"], []) = None  # type: ignore[valid-type]
    audio: only() = None  # type: ignore[valid-type]
    web_search_options: only() = None  # type: ignore[valid-type]
    echo: only(False) = None  # type: ignore[valid-type]
    best_of: only(1) = None  # type: ignore[valid-type]


class CompletionBody(AnswerShape):
    """POST /v1/completions."""

    prompt: str | list[str] | list[TokenId] | list[list[TokenId]]
    """Texts, or token ids of the served model."""
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    logprobs: Annotated[int, Field(ge=0, le=MOST_ALTERNATIVES)] | None = None
    echo: bool | None = None
    best_of: Annotated[int, Field(ge=0, le=MOST_CANDIDATES)] | None = None
    """So many answers are made, and the `n` that the model finds likeliest are sent."""

    suffix: only("") = None  # type: ignore[valid-type]
    response_format: only({"type": "text"}) = None  # type: ignore[valid-type]


@dataclass(frozen=True, slots=True)
class Ask:
    """What the caller wants: an answer to each request, all at once or as a stream."""

    requests: tuple[GenerationRequest, ...]
    stream: bool
    include_usage: bool
    token_ids: bool
    choices_per_prompt: int
    candidates_per_prompt: int
    """So many requests a prompt; more than `choices_per_prompt` where the best of them are wanted."""

    @property
    def model(self) -> str | None:
        return self.requests[0].model

    @property
    def logprobs(self) -> bool:
        return self.requests[0].sampling.logprobs is not None

    @property
    def strategy(self) -> StrategyName | None:
        return self.requests[0].strategy


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds where the body does not say."""

    id: str
    strategy: StrategyName
    """Of a request that asks for federation without naming one."""
    alone: bool = False
    client: str = ""


def parse_chat(body: Mapping[str, Any], defaults: Defaults) -> Ask:
    """Raises `RequestError`, which names the parameter."""
    chat = read(ChatBody, body)
    if chat.top_logprobs and not chat.logprobs:
        raise refusal(("top_logprobs",), "needs `logprobs` to be true.")
    longest = chat.max_tokens if chat.max_completion_tokens is None else chat.max_completion_tokens
    sampling = sampling_of(chat, longest, (chat.top_logprobs or 0) if chat.logprobs else None)
    tools = tools_of(chat.tools)
    choice = tool_choice_of(chat.tool_choice, tools)
    first = replace(
        _first(chat, messages_of(chat.messages), sampling, defaults),
        response_format=response_format_of(chat.response_format),
        # Functions that must not be called are not shown to the model, as OpenAI has it.
        tools=() if choice.mode == "none" else tools,
        tool_choice=choice if choice.mode != "none" else ToolChoice(),
        parallel_tool_calls=chat.parallel_tool_calls is not False,
        template=template_of(chat),
    )
    return _asked(chat, first, (first.prompt,), chat.n or 1)


def parse_completion(body: Mapping[str, Any], defaults: Defaults) -> Ask:
    """Raises `RequestError`, which names the parameter."""
    text = read(CompletionBody, body)
    max_tokens = COMPLETION_TOKENS if text.max_tokens is None else text.max_tokens
    prompts = prompts_of(text.prompt, "prompt")
    first = replace(
        _first(text, prompts[0], sampling_of(text, max_tokens, text.logprobs), defaults), echo=text.echo or False
    )
    return _asked(text, first, prompts, _candidates(text))


def prompts_of(
    given: str | list[str] | list[int] | list[list[int]], name: str, most: int = MAX_CHOICES
) -> tuple[str | TokenPrompt, ...]:
    """One or several, as texts or token ids. Raises `RequestError`."""
    if isinstance(given, str):
        return (given,)
    if not given:
        raise refusal((name,), "must not be an empty list.")
    if isinstance(given[0], int):
        return (TokenPrompt(tuple(token for token in given if isinstance(token, int))),)
    if len(given) > most:
        raise refusal((name,), f"must hold at most {most} texts.")
    return tuple(TokenPrompt(tuple(item)) if isinstance(item, list) else str(item) for item in given)


def template_of(body: TemplateShape) -> TemplateOptions:
    return TemplateOptions(body.reasoning_effort or "", json.dumps(body.chat_template_kwargs or {}))


def _candidates(text: CompletionBody) -> int:
    count, best_of = text.n or 1, text.best_of or text.n or 1
    if best_of < count:
        raise refusal(("best_of",), "must not be less than `n`.")
    if best_of > count and text.stream:
        raise refusal(("best_of",), "above `n` cannot be streamed: which answers are best shows at their end.")
    return best_of


def _first(body: AnswerShape, prompt: Prompt, sampling: Sampling, defaults: Defaults) -> GenerationRequest:
    strategy, alone = federation_of(body, defaults.strategy)
    model, by_name = split_model(body.model)
    return GenerationRequest(
        id=RequestId(defaults.id),
        prompt=prompt,
        sampling=sampling,
        model=model,
        strategy=strategy or by_name,
        alone=alone or defaults.alone,
        client=defaults.client,
    )


def _asked(body: AnswerShape, first: GenerationRequest, prompts: tuple[Prompt, ...], candidates: int) -> Ask:
    count = candidates * len(prompts)
    if count > MAX_CHOICES:
        raise refusal(("n",), f"times the number of prompts must be at most {MAX_CHOICES}.")
    first = replace(first, one_of_several=candidates > 1, resume=resume_of(body, single=first.alone and count == 1))
    return Ask(
        requests=tuple(_choices(first, prompts, candidates)),
        stream=body.stream or False,
        include_usage=_include_usage(body),
        token_ids=body.return_token_ids or False,
        choices_per_prompt=body.n or 1,
        candidates_per_prompt=candidates,
    )


def _include_usage(body: AnswerShape) -> bool:
    if body.stream_options is None:
        return False
    if not body.stream:
        raise refusal(("stream_options",), "can only be defined when `stream` is true.")
    return body.stream_options.include_usage or False


def _choices(first: GenerationRequest, prompts: tuple[Prompt, ...], count: int) -> Iterator[GenerationRequest]:
    if count * len(prompts) == 1:
        yield first
        return
    for index, (prompt, choice) in enumerate((prompt, choice) for prompt in prompts for choice in range(count)):
        sampling = _with_seed(first.sampling, choice)
        yield replace(first, id=RequestId(f"{first.id}-{index}"), prompt=prompt, sampling=sampling)


def _with_seed(sampling: Sampling, choice: int) -> Sampling:
    """Choices of one prompt differ, and are the same again with the same seed."""
    if sampling.seed is None:
        return sampling
    return replace(sampling, seed=(sampling.seed + choice + 2**63) % 2**64 - 2**63)
