"""Answers in OpenAI's shapes, whole and in chunks, with the swarm's own account of them beside.

A chunk's order and keys are what strict clients check: the role once and first, `finish_reason` null until the last
chunk of a choice, which has an empty delta; usage only where it was asked for, in a chunk without choices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from swarm.api.choices import Piece
from swarm.api.logprob_replies import CompletionLogprobs, chat_logprobs
from swarm.domain.generation import Provenance, TextDelta, Usage
from swarm.domain.ids import FinishReason
from swarm.domain.tokens import TokenLogprob
from swarm.domain.tools import MadeToolCall, ToolCallDelta
from swarm.wire.codec import to_plain


@dataclass(frozen=True, slots=True)
class Form:
    """What tells the replies of the two endpoints apart."""

    kind: Literal["chat", "completion"]
    id_prefix: str
    whole: str
    chunk: str


CHAT = Form("chat", "chatcmpl-", "chat.completion", "chat.completion.chunk")
COMPLETION = Form("completion", "cmpl-", "text_completion", "text_completion")


@dataclass(frozen=True, slots=True)
class ReplyHead:
    """What every chunk of one reply repeats."""

    form: Form
    id: str
    created: int
    model: str
    fingerprint: str | None
    choices_per_prompt: int = 1
    candidates_per_prompt: int = 1
    """Of which the likeliest are the choices."""

    def call_id(self, choice: int, place: int) -> str:
        """For a call that came without one."""
        return f"call_{self.id}_{choice}_{place}"

    def body(self, object: str, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return {
            "id": self.form.id_prefix + self.id,
            "object": object,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            "choices": choices,
            **more,
        }


@dataclass(slots=True)
class Answer:
    """One choice, as far as it has come."""

    texts: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    calls: dict[int, MadeToolCall] = field(default_factory=dict)
    last: TextDelta | None = None
    _tokens: int = 0
    _logprob_sum: float = 0.0

    def add(self, delta: TextDelta) -> None:
        self.texts.append(delta.text)
        self.reasoning.append(delta.reasoning)
        self.token_ids += delta.token_ids
        self.logprobs += delta.token_logprobs
        self._tokens += delta.tokens
        self._logprob_sum += delta.logprob_sum
        for piece in delta.tool_calls:
            known = self.calls.get(piece.index, MadeToolCall("", "", ""))
            self.calls[piece.index] = MadeToolCall(
                known.id or piece.id, known.name or piece.name, known.arguments + piece.arguments
            )
        if delta.finish_reason is not None:
            self.last = delta

    @property
    def mean_logprob(self) -> float:
        return self._logprob_sum / max(self._tokens, 1)


def whole_reply(
    head: ReplyHead, answers: Sequence[Answer], *, token_ids: bool = False, logprobs: bool = False
) -> dict[str, Any]:
    """The whole answer. With several choices each has its own `swarm`, and the top level the first one's."""
    chosen = _likeliest(answers, head.candidates_per_prompt, head.choices_per_prompt)
    choices = [_whole_choice(head, index, answer, len(chosen) > 1, logprobs) for index, answer in enumerate(chosen)]
    if token_ids:
        choices = [{**choice, "token_ids": answer.token_ids} for choice, answer in zip(choices, chosen, strict=True)]
    last = [answer.last for answer in answers if answer.last is not None]
    usage = usage_body([delta.usage for delta in last if delta.usage is not None], head.candidates_per_prompt)
    return head.body(head.form.whole, choices, usage=usage, **_swarm(last[0].provenance if last else None))


def _likeliest(answers: Sequence[Answer], candidates: int, choices: int) -> list[Answer]:
    """Of each prompt's candidates so many, best first; all as they are where no more were made."""
    if candidates == choices:
        return list(answers)
    groups = [answers[start : start + candidates] for start in range(0, len(answers), candidates)]
    return [
        answer
        for group in groups
        for answer in sorted(group, key=lambda answer: answer.mean_logprob, reverse=True)[:choices]
    ]


def _whole_choice(head: ReplyHead, index: int, answer: Answer, several: bool, logprobs: bool) -> dict[str, Any]:
    said = {"message": _message(head, index, answer)} if head.form is CHAT else {"text": "".join(answer.texts)}
    told: dict[str, Any] | None = None
    if logprobs:
        told = chat_logprobs(answer.logprobs) if head.form is CHAT else CompletionLogprobs().body(answer.logprobs)
    finish_reason = answer.last.finish_reason if answer.last else None
    swarm = _swarm(answer.last.provenance) if several and answer.last else {}
    return {"index": index, **said, "logprobs": told, "finish_reason": finish_reason, **swarm}


def _message(head: ReplyHead, index: int, answer: Answer) -> dict[str, Any]:
    text, reasoning = "".join(answer.texts), "".join(answer.reasoning)
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if reasoning:
        message |= _reasoning(reasoning)
    if answer.calls:
        message["content"] = text or None
        message["tool_calls"] = [
            {
                "id": call.id or head.call_id(index, place),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for place, call in sorted(answer.calls.items())
        ]
    return message


def _reasoning(text: str) -> dict[str, str]:
    """Under both names: vLLM's new one, and the old one that most clients know."""
    return {"reasoning": text, "reasoning_content": text}


@dataclass(slots=True)
class ChunkedReply:
    """Turns pieces into chunks; remembers which choices have begun and what they used."""

    head: ReplyHead
    include_usage: bool
    token_ids: bool = False
    _begun: set[int] = field(default_factory=set)
    _usages: list[Usage] = field(default_factory=list)
    _logprobs: dict[int, CompletionLogprobs] = field(default_factory=dict)

    def chunks(self, piece: Piece) -> Iterator[dict[str, Any]]:
        index, delta = piece.index, piece.delta
        if self.head.form is CHAT and index not in self._begun:
            self._begun.add(index)
            yield self._chunk(index, {"delta": {"role": "assistant", "content": ""}})
        said = self._said(index, delta)
        if said or delta.token_logprobs:
            yield self._chunk(index, {**self._told(said), **self._ids(delta)}, logprobs=self._logprobs_of(index, delta))
        if delta.usage is not None:
            self._usages.append(delta.usage)
        if delta.finish_reason is not None:
            ids = {} if said else self._ids(delta)
            yield self._chunk(index, {**self._told({}), **ids}, delta.finish_reason, **_swarm(delta.provenance))

    def closing(self) -> Iterator[dict[str, Any]]:
        if self.include_usage:
            usage = usage_body(self._usages, self.head.candidates_per_prompt)
            yield self.head.body(self.head.form.chunk, [], usage=usage)

    def _said(self, index: int, delta: TextDelta) -> dict[str, Any]:
        said: dict[str, Any] = {"content": delta.text} if delta.text else {}
        if delta.reasoning:
            said |= _reasoning(delta.reasoning)
        if delta.tool_calls:
            said["tool_calls"] = [self._call(index, call) for call in delta.tool_calls]
        return said

    def _call(self, index: int, call: ToolCallDelta) -> dict[str, Any]:
        if not call.name:
            return {"index": call.index, "function": {"arguments": call.arguments}}
        return {
            "index": call.index,
            "id": call.id or self.head.call_id(index, call.index),
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }

    def _told(self, said: dict[str, Any]) -> dict[str, Any]:
        return {"delta": said} if self.head.form is CHAT else {"text": said.get("content", "")}

    def _ids(self, delta: TextDelta) -> dict[str, Any]:
        """Also how likely they were, which tells a vote how sure this node was."""
        return {"token_ids": delta.token_ids, "logprob_sum": delta.logprob_sum} if self.token_ids else {}

    def _logprobs_of(self, index: int, delta: TextDelta) -> dict[str, Any] | None:
        if not delta.token_logprobs:
            return None
        if self.head.form is CHAT:
            return chat_logprobs(delta.token_logprobs)
        return self._logprobs.setdefault(index, CompletionLogprobs()).body(delta.token_logprobs)

    def _chunk(
        self,
        index: int,
        said: dict[str, Any],
        finish_reason: FinishReason | None = None,
        *,
        logprobs: dict[str, Any] | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        choice = {"index": index, **said, "logprobs": logprobs, "finish_reason": finish_reason}
        usage = {"usage": None} if self.include_usage else {}
        return self.head.body(self.head.form.chunk, [choice], **usage, **more)


def usage_body(usages: Sequence[Usage], candidates_per_prompt: int) -> dict[str, Any]:
    """In OpenAI's accounts a prompt counts once, however many choices it has; their completions add up."""
    prompt = sum(usage.prompt_tokens for usage in usages) // candidates_per_prompt
    completion = sum(usage.completion_tokens for usage in usages)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def _swarm(provenance: Provenance | None) -> dict[str, Any]:
    return {} if provenance is None else {"swarm": to_plain(provenance)}
