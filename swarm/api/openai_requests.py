"""OpenAI's request bodies become generation requests, one for each choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

from swarm.api.fields import Fields
from swarm.api.unsupported import refuse_unsupported
from swarm.domain.errors import RequestError
from swarm.domain.generation import ChatMessage, GenerationRequest, Resume, Sampling
from swarm.domain.ids import RequestId, Role, StrategyName

STRATEGY_NAMES: tuple[StrategyName, ...] = get_args(StrategyName)
MAX_CHOICES = 16
MAX_STOPS = 64
MAX_TOKENS = 2**31 - 1
COMPLETION_TOKENS = 16
"""OpenAI's default of `max_tokens` for /v1/completions."""

Prompt = tuple[ChatMessage, ...] | str


@dataclass(frozen=True, slots=True)
class Ask:
    """What the caller wants: an answer to each request, all at once or as a stream."""

    requests: tuple[GenerationRequest, ...]
    stream: bool
    include_usage: bool
    token_ids: bool
    """Each piece comes with the ids of its tokens, as vLLM gives them."""
    choices_per_prompt: int

    @property
    def model(self) -> str | None:
        return self.requests[0].model

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


def parse_chat(body: Mapping[str, Any], defaults: Defaults) -> Ask:
    """Raises `RequestError`, which names the parameter."""
    return _parse(Fields(body), (_messages(Fields(body)),), None, defaults)


def parse_completion(body: Mapping[str, Any], defaults: Defaults) -> Ask:
    """Raises `RequestError`, which names the parameter."""
    return _parse(Fields(body), _prompts(Fields(body)), COMPLETION_TOKENS, defaults)


def sampling_of(body: Fields, max_tokens: int | None = None) -> Sampling:
    """`max_tokens` holds where the body does not say; a null or absent parameter is its default."""
    longest = body.integer("max_completion_tokens", 1, MAX_TOKENS)
    if longest is None:
        longest = body.integer("max_tokens", 1, MAX_TOKENS)
    temperature = body.number("temperature", 0, 2)
    top_p = body.number("top_p", 0, 1, above_low=True)
    return Sampling(
        temperature=1.0 if temperature is None else temperature,
        top_p=1.0 if top_p is None else top_p,
        max_tokens=max_tokens if longest is None else longest,
        stop=_stops(body),
        seed=body.integer("seed", -(2**63), 2**63 - 1),
    )


def _parse(body: Fields, prompts: tuple[Prompt, ...], max_tokens: int | None, defaults: Defaults) -> Ask:
    refuse_unsupported(body)
    count = body.integer("n", 1, MAX_CHOICES) or 1
    if count * len(prompts) > MAX_CHOICES:
        raise body.refuse("n", f"times the number of prompts must be at most {MAX_CHOICES}.")
    strategy, alone = _federation(body, defaults)
    model, by_name = split_model(body.text("model"))
    first = GenerationRequest(
        id=RequestId(defaults.id),
        prompt=prompts[0],
        sampling=sampling_of(body, max_tokens),
        model=model,
        strategy=strategy or by_name,
        one_of_several=count > 1,
        alone=alone,
        resume=_resume(body, alone=alone and count * len(prompts) == 1),
    )
    stream = body.flag("stream") or False
    requests = tuple(_choices(first, prompts, count))
    token_ids = body.flag("return_token_ids") or False
    return Ask(requests, stream, _include_usage(body, stream), token_ids, count)


def _choices(first: GenerationRequest, prompts: tuple[Prompt, ...], count: int) -> list[GenerationRequest]:
    if count * len(prompts) == 1:
        return [first]
    return [
        replace(first, id=RequestId(f"{first.id}-{index}"), prompt=prompt, sampling=_with_seed(first.sampling, choice))
        for index, (prompt, choice) in enumerate((prompt, choice) for prompt in prompts for choice in range(count))
    ]


def _with_seed(sampling: Sampling, choice: int) -> Sampling:
    """Choices of one prompt differ, and are the same again with the same seed."""
    if sampling.seed is None:
        return sampling
    return replace(sampling, seed=(sampling.seed + choice + 2**63) % 2**64 - 2**63)


def _federation(body: Fields, defaults: Defaults) -> tuple[StrategyName | None, bool]:
    options = body.object("swarm") or Fields({}, "swarm.")
    strategy = _strategy(options) or _strategy(body)
    federation = options.flag("federation")
    if federation is False and strategy is not None:
        raise options.refuse("strategy", "cannot be used together with `swarm.federation`: false.")
    if federation and strategy is None:
        strategy = defaults.strategy
    return strategy, defaults.alone or federation is False


def _resume(body: Fields, *, alone: bool) -> Resume | None:
    """Of an answer that another node began; for a single answer of this node alone."""
    options = body.object("swarm")
    told = options.object("resume") if options else None
    if told is None:
        return None
    if not alone:
        raise Fields(body.values, "swarm.").refuse("resume", "is for one answer of one node.")
    tokens = told.get("tokens")
    if not isinstance(tokens, list) or not all(isinstance(token, int) and token >= 0 for token in tokens):
        raise told.refuse("tokens", "must be a list of token ids.")
    return Resume(tuple(tokens), told.text("model_digest") or "")


def _strategy(options: Fields) -> StrategyName | None:
    name = options.text("strategy")
    for strategy in STRATEGY_NAMES:
        if strategy == name:
            return strategy
    if name is not None:
        raise options.refuse("strategy", f"must be one of {', '.join(STRATEGY_NAMES)}.")
    return None


def split_model(name: str | None) -> tuple[str | None, StrategyName | None]:
    """`swarm-demo:best_of_n`, or with `@`, for clients that can set nothing but the model's name."""
    for mark in ":@":
        model, _, suffix = (name or "").rpartition(mark)
        for strategy in STRATEGY_NAMES:
            if strategy == suffix:
                return model or None, strategy
    return name or None, None


def _include_usage(body: Fields, stream: bool) -> bool:
    options = body.object("stream_options")
    if options is None:
        return False
    if not stream:
        raise body.refuse("stream_options", "can only be defined when `stream` is true.")
    return options.flag("include_usage") or False


def _stops(body: Fields) -> tuple[str, ...]:
    given = body.get("stop")
    stops = given if isinstance(given, list | tuple) else [] if given is None else [given]
    if len(stops) > MAX_STOPS:
        raise body.refuse("stop", f"must hold at most {MAX_STOPS} strings.")
    texts = tuple(body.as_text(stop, "stop") for stop in stops)
    if "" in texts:
        raise body.refuse("stop", "must not hold an empty string.")
    return texts


def _prompts(body: Fields) -> tuple[str, ...]:
    given = body.get("prompt")
    prompts = given if isinstance(given, list) else [given]
    if not prompts or any(isinstance(prompt, int | list) for prompt in prompts):
        raise body.refuse("prompt", "must be a string or a list of strings; token ids are not supported.")
    if len(prompts) > MAX_CHOICES:
        raise body.refuse("prompt", f"must hold at most {MAX_CHOICES} strings.")
    return tuple(body.as_text(prompt, "prompt") for prompt in prompts)


def _messages(body: Fields) -> tuple[ChatMessage, ...]:
    given = body.get("messages")
    if not isinstance(given, list) or not given:
        raise body.refuse("messages", "must be a list of at least one message.")
    return tuple(_message(item, f"messages[{index}]") for index, item in enumerate(given))


def _message(item: Any, path: str) -> ChatMessage:
    if not isinstance(item, dict):
        raise RequestError(f"`{path}` must be an object with `role` and `content`.", param=path)
    message = Fields(item, f"{path}.")
    if message.get("tool_calls"):
        raise message.refuse("tool_calls", "is not supported by this node yet; leave it out.")
    return ChatMessage(role=_role(message), content=_content(message))


def _role(message: Fields) -> Role:
    known: tuple[Role, ...] = get_args(Role)
    for role in known:
        if role == message.get("role"):
            return role
    raise message.refuse("role", f"must be one of {', '.join(known)}.")


def _content(message: Fields) -> str:
    content = message.get("content")
    if content is None and message.get("role") == "assistant":
        return ""
    if isinstance(content, list):
        return "".join(_part(part, message) for part in content)
    return message.as_text(content, "content")


def _part(part: Any, message: Fields) -> str:
    if not isinstance(part, dict) or part.get("type") != "text":
        raise message.refuse("content", "must be a string or a list of parts of type text; the model reads text only.")
    return message.as_text(part.get("text"), "content")
