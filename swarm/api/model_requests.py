"""Bodies of requests that ask the model for something else than an answer: vectors, token ids, text of token ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from swarm.api.openai_requests import TemplateShape, prompts_of, template_of
from swarm.api.shapes.base import Shape, only, read, refusal
from swarm.api.shapes.messages import Message, messages_of
from swarm.api.shapes.sampling import TokenId
from swarm.api.shapes.swarm_options import split_model
from swarm.api.shapes.tools import MOST_TOOLS, ToolShape, tools_of
from swarm.domain.generation import Prompt
from swarm.domain.tokens import MOST_TOKENS
from swarm.domain.tools import TemplateOptions, ToolSpec

MOST_INPUTS = 2048
"""Of one request for vectors, as OpenAI has it."""

Encoding = Literal["float", "base64"]


class EmbeddingBody(Shape):
    """POST /v1/embeddings."""

    input: str | list[str] | list[TokenId] | list[list[TokenId]]
    model: str | None = None
    encoding_format: Encoding | None = None
    """`base64`: little-endian float32."""
    dimensions: Annotated[int, Field(ge=1)] | None = None
    """So many first ones, scaled to length 1 again."""
    user: str | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingAsk:
    inputs: tuple[Prompt, ...]
    model: str | None
    encoding: Encoding
    dimensions: int | None


def parse_embedding(body: Mapping[str, Any]) -> EmbeddingAsk:
    """Raises `RequestError`, which names the parameter."""
    asked = read(EmbeddingBody, body)
    inputs = prompts_of(asked.input, "input", MOST_INPUTS)
    return EmbeddingAsk(inputs, split_model(asked.model)[0], asked.encoding_format or "float", asked.dimensions)


class TokenizeBody(TemplateShape):
    """POST /tokenize: raw text as `prompt` (vLLM) or `content` (llama.cpp), or a conversation as `messages`."""

    model: str | None = None
    prompt: str | None = None
    content: str | None = None
    messages: Annotated[list[Message], Field(min_length=1)] | None = None
    tools: Annotated[list[ToolShape], Field(max_length=MOST_TOOLS)] | None = None
    add_special_tokens: bool | None = None
    return_token_strs: bool | None = None
    with_pieces: only(False) = None  # type: ignore[valid-type]


@dataclass(frozen=True, slots=True)
class TokenizeAsk:
    prompt: Prompt
    model: str | None
    tools: tuple[ToolSpec, ...]
    template: TemplateOptions
    add_special_tokens: bool
    strings: bool


def parse_tokenize(body: Mapping[str, Any]) -> TokenizeAsk:
    """Raises `RequestError`, which names the parameter."""
    asked = read(TokenizeBody, body)
    given = [value for value in (asked.prompt, asked.content, asked.messages) if value is not None]
    if len(given) != 1:
        raise refusal(("prompt",), "or `messages` is required: one of them.")
    return TokenizeAsk(
        prompt=given[0] if isinstance(given[0], str) else messages_of(given[0]),
        model=split_model(asked.model)[0],
        tools=tools_of(asked.tools),
        template=template_of(asked),
        add_special_tokens=asked.add_special_tokens is not False,
        strings=asked.return_token_strs or False,
    )


class DetokenizeBody(Shape):
    """POST /detokenize."""

    tokens: Annotated[list[TokenId], Field(max_length=MOST_TOKENS)]
    model: str | None = None


def parse_detokenize(body: Mapping[str, Any]) -> DetokenizeBody:
    """Raises `RequestError`, which names the parameter."""
    return read(DetokenizeBody, body)
