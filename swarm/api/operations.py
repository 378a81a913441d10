"""What the API serves: every route with what it reads, what it replies, and which statuses it may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from swarm.api.model_requests import DetokenizeBody, EmbeddingBody, TokenizeBody
from swarm.api.openai_requests import ChatBody, CompletionBody
from swarm.api.responses_requests import ResponseBody
from swarm.api.shapes.replies import (
    ChatReply,
    CompletionReply,
    DetokenizeReply,
    EmbeddingReply,
    HealthReply,
    Model,
    ModelList,
    ResponseReply,
    TokenizeReply,
)
from swarm.domain.nodes import NodeStatus
from swarm.domain.weights import FilePieces, HeldPieces, WeightsOffer
from swarm.wire.federation_messages import (
    Goodbye,
    Hello,
    PeersReply,
    ScoreReply,
    ScoreRequest,
    VoteReply,
    VoteRequest,
)

EVENTS = "text/event-stream"
PAGE_FILES = ("text/css", "text/html", "text/javascript", "image/svg+xml")
BYTES = "application/octet-stream"
ANYWHERE = (400, 401, 403, 404, 405, 500)
"""Statuses that any request may get: it is no HTTP, may not call, or met a bug."""
BODY = (408, 413, 415)
MODEL = (429, 502, 503)
"""Of what the model must be there for."""


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str
    summary: str
    body: Any = None
    reply: Any = None
    """None: `content` says what it is instead, or there is none."""
    content: tuple[str, ...] = ()
    """Media types beside JSON."""
    success: int = 200
    more: tuple[int, ...] = ()
    """Further statuses, besides those anywhere and of a body."""
    query: tuple[str, ...] = ()
    also_without_v1: bool = False

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.path, self.path.removeprefix("/v1")) if self.also_without_v1 else (self.path,)


def _openai(method: str, path: str, summary: str, **more: Any) -> Operation:
    return Operation(method, path, summary, also_without_v1=True, **more)


OPERATIONS: tuple[Operation, ...] = (
    _openai("get", "/v1/models", "Models that can be asked now, here or on another node.", reply=ModelList),
    _openai("get", "/v1/models/{id}", "One of them.", reply=Model),
    _openai(
        "post",
        "/v1/chat/completions",
        "The answer to a conversation, whole or as events.",
        body=ChatBody,
        reply=ChatReply,
        content=(EVENTS,),
        more=(*MODEL, 409),
    ),
    _openai(
        "post",
        "/v1/completions",
        "The continuation of a text, whole or as events.",
        body=CompletionBody,
        reply=CompletionReply,
        content=(EVENTS,),
        more=(*MODEL, 409),
    ),
    _openai(
        "post",
        "/v1/responses",
        "The answer to a conversation, as OpenAI's newer endpoint has it; nothing is stored.",
        body=ResponseBody,
        reply=ResponseReply,
        content=(EVENTS,),
        more=(*MODEL, 409),
    ),
    _openai(
        "post",
        "/v1/embeddings",
        "A vector for each text: the mean of the model's last hidden states, of length 1.",
        body=EmbeddingBody,
        reply=EmbeddingReply,
        more=(*MODEL, 501),
    ),
    _openai("post", "/v1/tokenize", "Token ids of a text.", body=TokenizeBody, reply=TokenizeReply, more=(*MODEL, 501)),
    _openai(
        "post", "/v1/detokenize", "Text of token ids.", body=DetokenizeBody, reply=DetokenizeReply, more=(*MODEL, 501)
    ),
    _openai(
        "get", "/v1/health", "Whether this node can answer, which it has just tried.", reply=HealthReply, more=(503,)
    ),
    Operation("get", "/openapi.json", "This description.", reply=dict[str, Any]),
    Operation("get", "/", "The status page.", content=("text/html",)),
    Operation(
        "get",
        "/page/{name}",
        "A file of the status page.",
        content=("text/html", "text/css", "text/javascript", "image/svg+xml"),
    ),
    Operation("get", "/v1/federation/health", "What this node says of itself; 200 in any state.", reply=NodeStatus),
    Operation("get", "/v1/federation/peers", "This node and those that it knows.", reply=PeersReply),
    Operation("get", "/v1/federation/events", "The same, then each change.", content=(EVENTS,), more=(429, 503)),
    Operation("get", "/v1/federation/requests", "What was answered lately, without its text.", reply=dict[str, Any]),
    Operation("get", "/v1/federation/decisions", "How the last votes were decided.", reply=dict[str, Any]),
    Operation(
        "post", "/v1/federation/vote", "This node's own candidates.", body=VoteRequest, reply=VoteReply, more=MODEL
    ),
    Operation(
        "post",
        "/v1/federation/score",
        "How likely this node's model finds others' answers.",
        body=ScoreRequest,
        reply=ScoreReply,
        more=MODEL,
    ),
    Operation("post", "/v1/federation/hello", "Another node is there.", body=Hello, success=204),
    Operation("post", "/v1/federation/goodbye", "Another node leaves.", body=Goodbye, success=204),
)
WEIGHTS: tuple[Operation, ...] = (
    Operation(
        "get", "/v1/weights/offer", "What is here of a model.", reply=WeightsOffer, query=("model",), more=(429, 503)
    ),
    Operation("get", "/v1/weights/{digest}/pieces", "Hashes of a file's pieces.", reply=FilePieces, more=(429, 503)),
    Operation("get", "/v1/weights/{digest}/held", "Which pieces are here.", reply=HeldPieces, more=(429, 503)),
    Operation(
        "get", "/v1/weights/{digest}/data", "Bytes of a file.", content=(BYTES,), success=206, more=(416, 429, 503)
    ),
)
