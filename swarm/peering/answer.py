"""A peer's stream of OpenAI-style chunks as text deltas. Pure; what the peer sends is checked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from swarm.domain.errors import PeerError
from swarm.domain.generation import Provenance, TextDelta, Usage
from swarm.domain.ids import FinishReason, NodeId
from swarm.domain.nodes import PeerInfo
from swarm.domain.tools import ToolCallDelta
from swarm.membership.strangers import SENTENCE_LIMIT, clean_text, is_node_id, sound_text
from swarm.peering.logprobs import read_logprobs
from swarm.wire.codec import from_json, from_plain

END = "[DONE]"
MOST_NODES = 64
"""On the route of one answer."""


@dataclass(frozen=True, slots=True)
class _Function:
    name: str | None = None
    arguments: str | None = None


@dataclass(frozen=True, slots=True)
class _Call:
    index: int = 0
    id: str | None = None
    function: _Function = field(default_factory=_Function)


@dataclass(frozen=True, slots=True)
class _Delta:
    content: str | None = None
    reasoning: str | None = None
    tool_calls: tuple[_Call, ...] | None = None


@dataclass(frozen=True, slots=True)
class _Choice:
    index: int = 0
    delta: _Delta | None = None
    text: str | None = None
    logprobs: dict[str, Any] | None = None
    token_ids: tuple[int, ...] | None = None
    logprob_sum: float = 0.0
    finish_reason: FinishReason | None = None

    def said(self) -> TextDelta:
        """What it says, without its tokens."""
        delta = self.delta or _Delta(self.text)
        return TextDelta(
            sound_text(delta.content or ""),
            token_logprobs=read_logprobs(self.logprobs) if self.logprobs else (),
            tool_calls=tuple(map(_call, delta.tool_calls or ())),
            reasoning=sound_text(delta.reasoning or ""),
        )


def _call(call: _Call) -> ToolCallDelta:
    name, arguments = call.function.name or "", call.function.arguments or ""
    return ToolCallDelta(max(call.index, 0), sound_text(call.id or ""), sound_text(name), sound_text(arguments))


@dataclass(frozen=True, slots=True)
class _Usage:
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class _Failure:
    message: str = ""


@dataclass(frozen=True, slots=True)
class _Chunk:
    choices: tuple[_Choice, ...] = ()
    usage: _Usage | None = None
    error: _Failure | None = None
    model: str = ""
    swarm: dict[str, Any] | None = None


class AnswerReader:
    """Feed it the events in order. The last delta is held back until [DONE], as its usage comes in a later chunk."""

    def __init__(self, peer: PeerInfo, resumed: int | None = None) -> None:
        """`resumed`: how many tokens the answer had where it goes on; None where it begins."""
        self._peer, self._resumed = peer, resumed
        self._finish_reason: FinishReason | None = None
        self._provenance: Provenance | None = None
        self._usage: _Usage | None = None
        self._tokens = 0
        self._ids: list[int] = []
        self._logprob_sum = 0.0
        """Both of tokens that have come without text."""
        self.is_done = False

    def read(self, event: str) -> TextDelta | None:
        """Raises `PeerError` for an error event and for anything that is not a chunk."""
        if self.is_done:
            return None
        if event == END:
            return self._last()
        chunk = from_json(_Chunk, event.encode())
        if chunk.error is not None:
            raise PeerError(f"{self._peer.endpoint} failed: {clean_text(chunk.error.message, SENTENCE_LIMIT)}")
        self._usage = chunk.usage or self._usage
        choice = next((choice for choice in chunk.choices if choice.index == 0), None)
        return None if choice is None else self._piece(choice, chunk)

    def _piece(self, choice: _Choice, chunk: _Chunk) -> TextDelta | None:
        if choice.finish_reason is not None:
            self._finish_reason = choice.finish_reason
            self._provenance = self._provenance_of(chunk)
        said = choice.said()
        self._ids += choice.token_ids or ()
        self._logprob_sum += min(0.0, choice.logprob_sum)
        if said == TextDelta():
            return None
        if choice.token_ids is None and self._resumed is not None:
            raise PeerError(f"{self._peer.endpoint} began the answer again instead of going on with it.")
        ids, self._ids = tuple(self._ids), []
        tokens = len(ids) if choice.token_ids is not None else 1
        self._tokens += tokens
        logprob_sum, self._logprob_sum = self._logprob_sum, 0.0
        return replace(said, tokens=tokens, logprob_sum=logprob_sum, token_ids=ids)

    def _last(self) -> TextDelta:
        """A piece without ids was counted as one token; what is left of the peer's own count comes with the last."""
        if self._finish_reason is None or self._provenance is None:
            raise PeerError(f"{self._peer.endpoint} ended its answer without saying why.")
        self.is_done = True
        before = self._resumed or 0
        usage = self._usage or _Usage(0, before + self._tokens)
        completion_tokens = max(usage.completion_tokens, 0)
        return TextDelta(
            tokens=max(0, completion_tokens - before - self._tokens),
            logprob_sum=self._logprob_sum,
            token_ids=tuple(self._ids),
            finish_reason=self._finish_reason,
            usage=Usage(max(usage.prompt_tokens, 0), completion_tokens),
            provenance=self._provenance,
        )

    def _provenance_of(self, chunk: _Chunk) -> Provenance:
        """The nodes as the peer names them, behind the peer itself, whom alone we know to have taken part."""
        told = from_plain(Provenance, chunk.swarm) if chunk.swarm is not None else None
        others = [node for node in told.nodes[:MOST_NODES] if is_node_id(node)] if told else []
        model = self._peer.status.model if self._peer.status else None
        return Provenance(
            route="peer",
            nodes=_once((self._peer.node, *others)),
            model=clean_text(told.model if told else chunk.model, SENTENCE_LIMIT),
            model_digest=clean_text(told.model_digest, SENTENCE_LIMIT) if told else model.digest if model else "",
        )


def _once(nodes: tuple[NodeId, ...]) -> tuple[NodeId, ...]:
    return tuple(dict.fromkeys(nodes))
