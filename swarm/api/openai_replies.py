"""Answers in OpenAI's shapes, whole and in chunks, with the swarm's own account of them beside.

A chunk's order and keys are what strict clients check: the role once and first, `finish_reason` null until the last
chunk of a choice, which has an empty delta; usage only where it was asked for, in a chunk without choices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from swarm.api.choices import Piece
from swarm.domain.generation import Provenance, TextDelta, Usage
from swarm.domain.ids import FinishReason
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
    token_ids: list[int] = field(default_factory=list)
    last: TextDelta | None = None

    def add(self, delta: TextDelta) -> None:
        self.texts.append(delta.text)
        self.token_ids += delta.token_ids
        if delta.finish_reason is not None:
            self.last = delta


def whole_reply(head: ReplyHead, answers: Sequence[Answer], *, token_ids: bool = False) -> dict[str, Any]:
    """The whole answer. With several choices each has its own `swarm`, and the top level the first one's."""
    choices = [_whole_choice(head.form, index, answer, len(answers) > 1) for index, answer in enumerate(answers)]
    if token_ids:
        choices = [{**choice, "token_ids": answer.token_ids} for choice, answer in zip(choices, answers, strict=True)]
    last = [answer.last for answer in answers if answer.last is not None]
    usage = usage_body([delta.usage for delta in last if delta.usage is not None], head.choices_per_prompt)
    return head.body(head.form.whole, choices, usage=usage, **_swarm(last[0].provenance if last else None))


def _whole_choice(form: Form, index: int, answer: Answer, several: bool) -> dict[str, Any]:
    text = "".join(answer.texts)
    said: dict[str, Any] = (
        {"message": {"role": "assistant", "content": text, "refusal": None}} if form is CHAT else {"text": text}
    )
    finish_reason = answer.last.finish_reason if answer.last else None
    swarm = _swarm(answer.last.provenance) if several and answer.last else {}
    return {"index": index, **said, "logprobs": None, "finish_reason": finish_reason, **swarm}


@dataclass(slots=True)
class ChunkedReply:
    """Turns pieces into chunks; remembers which choices have begun and what they used."""

    head: ReplyHead
    include_usage: bool
    token_ids: bool = False
    _begun: set[int] = field(default_factory=set)
    _usages: list[Usage] = field(default_factory=list)

    def chunks(self, piece: Piece) -> Iterator[dict[str, Any]]:
        index, delta = piece.index, piece.delta
        if self.head.form is CHAT and index not in self._begun:
            self._begun.add(index)
            yield self._chunk(index, {"delta": {"role": "assistant", "content": ""}})
        if delta.text:
            yield self._chunk(index, {**self._said(delta.text), **self._ids(delta)})
        if delta.usage is not None:
            self._usages.append(delta.usage)
        if delta.finish_reason is not None:
            ending: dict[str, Any] = {"delta": {}} if self.head.form is CHAT else {"text": ""}
            ids = {} if delta.text else self._ids(delta)
            yield self._chunk(index, {**ending, **ids}, delta.finish_reason, **_swarm(delta.provenance))

    def closing(self) -> Iterator[dict[str, Any]]:
        if self.include_usage:
            yield self.head.body(self.head.form.chunk, [], usage=usage_body(self._usages, self.head.choices_per_prompt))

    def _said(self, text: str) -> dict[str, Any]:
        return {"delta": {"content": text}} if self.head.form is CHAT else {"text": text}

    def _ids(self, delta: TextDelta) -> dict[str, Any]:
        return {"token_ids": delta.token_ids} if self.token_ids else {}

    def _chunk(
        self, index: int, said: dict[str, Any], finish_reason: FinishReason | None = None, **more: Any
    ) -> dict[str, Any]:
        choice = {"index": index, **said, "logprobs": None, "finish_reason": finish_reason}
        usage = {"usage": None} if self.include_usage else {}
        return self.head.body(self.head.form.chunk, [choice], **usage, **more)


def usage_body(usages: Sequence[Usage], choices_per_prompt: int) -> dict[str, Any]:
    """In OpenAI's accounts a prompt counts once, however many choices it has; their completions add up."""
    prompt = sum(usage.prompt_tokens for usage in usages) // choices_per_prompt
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
