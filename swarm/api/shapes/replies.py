"""What replies look like, for /openapi.json. Replies are built as plain objects; tests hold them against these."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Reply(BaseModel):
    """Further keys may come at any time."""

    model_config = ConfigDict(extra="allow", protected_namespaces=(), use_attribute_docstrings=True)


class ErrorDetails(Reply):
    message: str
    type: str
    param: str | None
    """The parameter at fault: `messages[0].content`."""
    code: str | None


class ErrorReply(Reply):
    """Every refusal and failure has this shape."""

    error: ErrorDetails


class Model(Reply):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    max_model_len: int


class ModelList(Reply):
    object: Literal["list"]
    data: list[Model]


class UsageCounts(Reply):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class CallFunction(Reply):
    name: str
    arguments: str


class Call(Reply):
    id: str
    type: Literal["function"]
    function: CallFunction


class ChatMessageReply(Reply):
    role: Literal["assistant"]
    content: str | None
    refusal: None
    tool_calls: list[Call] = Field(default_factory=list)
    reasoning: str = ""
    reasoning_content: str = ""


class ChatChoice(Reply):
    index: int
    message: ChatMessageReply
    logprobs: dict[str, Any] | None
    finish_reason: Literal["stop", "length", "tool_calls"]


class ChatReply(Reply):
    """As events of `chat.completion.chunk` where `stream` is true."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: UsageCounts


class CompletionChoice(Reply):
    index: int
    text: str
    logprobs: dict[str, Any] | None
    finish_reason: Literal["stop", "length"]


class CompletionReply(Reply):
    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: UsageCounts


class ResponseReply(Reply):
    """As events of the Responses API where `stream` is true."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["completed", "incomplete", "failed"]
    model: str
    output: list[dict[str, Any]]
    usage: dict[str, Any] | None


class EmbeddingEntry(Reply):
    object: Literal["embedding"]
    index: int
    embedding: list[float] | str
    """Base64 of little-endian float32 where that was asked for."""


class EmbeddingReply(Reply):
    object: Literal["list"]
    data: list[EmbeddingEntry]
    model: str


class TokenizeReply(Reply):
    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: list[str] | None


class DetokenizeReply(Reply):
    prompt: str
    content: str


class HealthReply(Reply):
    status: Literal["ok", "unavailable"]
    state: str
    model: str | None
    peers: int
