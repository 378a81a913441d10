"""Replies of /v1/responses: the object, and the events that build it up, from the same pieces of text. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from swarm.api.logprob_replies import chat_logprobs
from swarm.api.responses_requests import ResponseAsk
from swarm.domain.generation import TextDelta, Usage
from swarm.domain.tools import ToolCallDelta, ToolSpec
from swarm.wire.codec import to_plain

Event = dict[str, Any]


@dataclass(slots=True)
class ResponseBuilder:
    """Feed it the deltas in order; each gives the events that it causes."""

    ask: ResponseAsk
    id: str
    created: int
    model: str
    output: list[dict[str, Any]] = field(default_factory=list)
    _open: str = ""
    """Type of the last item, while it grows."""
    _calls: dict[int, int] = field(default_factory=dict)
    """Places in the output, by the index of the call."""
    _status: str = "in_progress"
    _usage: Usage | None = None
    _more: dict[str, Any] = field(default_factory=dict)
    _events: int = 0

    def begin(self) -> Iterator[Event]:
        yield self._event("response.created", response=self.body())
        yield self._event("response.in_progress", response=self.body())

    def add(self, delta: TextDelta) -> Iterator[Event]:
        if delta.reasoning:
            yield from self._add_reasoning(delta.reasoning)
        if delta.text or delta.token_logprobs:
            yield from self._add_text(delta)
        for call in delta.tool_calls:
            yield from self._add_call(call)
        if delta.finish_reason is not None:
            yield from self._finish(delta)

    def failed(self, error: dict[str, Any]) -> Event:
        self._status = "failed"
        self._more["error"] = {"code": error.get("code") or "server_error", "message": error["message"]}
        return self._event("response.failed", response=self.body())

    def body(self) -> dict[str, Any]:
        asked = self.ask.body
        request = self.ask.request
        text = asked.text.model_dump(by_alias=True, exclude_none=True) if asked.text else {}
        return {
            "id": f"resp_{self.id}",
            "object": "response",
            "created_at": self.created,
            "status": self._status,
            "error": None,
            "incomplete_details": None,
            "instructions": asked.instructions,
            "max_output_tokens": asked.max_output_tokens,
            "model": self.model,
            "output": [dict(item) for item in self.output],
            "parallel_tool_calls": request.parallel_tool_calls,
            "previous_response_id": None,
            "reasoning": {"effort": asked.reasoning.effort if asked.reasoning else None, "summary": None},
            "store": False,
            "temperature": request.sampling.temperature,
            "text": _text_options(text),
            "tool_choice": _tool_choice(asked.tool_choice),
            "tools": [_tool(tool) for tool in request.tools],
            "top_p": request.sampling.top_p,
            "truncation": "disabled",
            "usage": self._usage_body(),
            "user": asked.user,
            "metadata": asked.metadata or {},
            **self._more,
        }

    # -- items --------------------------------------------------------------------------------------------------------

    def _add_reasoning(self, text: str) -> Iterator[Event]:
        if self._open != "reasoning":
            yield from self._close()
            yield from self._begin({"type": "reasoning", "id": self._name("rs"), "summary": [], "content": []})
            self._item["content"].append({"type": "reasoning_text", "text": ""})
        self._item["content"][0]["text"] += text
        yield self._item_event("response.reasoning_text.delta", content_index=0, delta=text)

    def _add_text(self, delta: TextDelta) -> Iterator[Event]:
        if self._open != "message":
            yield from self._close()
            message = {"type": "message", "id": self._name("msg"), "status": "in_progress", "role": "assistant"}
            yield from self._begin({**message, "content": []})
            part: dict[str, Any] = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            yield self._item_event("response.content_part.added", content_index=0, part=dict(part))
            self._item["content"].append(part)
        logprobs = chat_logprobs(delta.token_logprobs)["content"]
        part = self._item["content"][0]
        part["text"] += delta.text
        part["logprobs"] = [*part["logprobs"], *logprobs]
        yield self._item_event("response.output_text.delta", content_index=0, delta=delta.text, logprobs=logprobs)

    def _add_call(self, call: ToolCallDelta) -> Iterator[Event]:
        if call.index not in self._calls:
            yield from self._close()
            self._calls[call.index] = len(self.output)
            call_id = call.id or f"call_{self.id}_{call.index}"
            made = {"type": "function_call", "id": self._name("fc"), "call_id": call_id, "name": call.name}
            yield from self._begin({**made, "arguments": "", "status": "in_progress"})
        if call.arguments:
            item = self.output[self._calls[call.index]]
            item["arguments"] += call.arguments
            yield self._event(
                "response.function_call_arguments.delta",
                item_id=item["id"],
                output_index=self._calls[call.index],
                delta=call.arguments,
            )

    def _begin(self, item: dict[str, Any]) -> Iterator[Event]:
        self._open = item["type"]
        self.output.append(item)
        yield self._event("response.output_item.added", output_index=len(self.output) - 1, item=_copied(item))

    def _close(self, *, whole: bool = True) -> Iterator[Event]:
        """Ends the item that is open."""
        if not self._open:
            return
        item, kind, self._open = self._item, self._open, ""
        if "status" in item:
            item["status"] = "completed" if whole else "incomplete"
        if kind == "message":
            part = item["content"][0]
            text = {"text": part["text"], "logprobs": part["logprobs"]}
            yield self._item_event("response.output_text.done", content_index=0, **text)
            yield self._item_event("response.content_part.done", content_index=0, part=dict(part))
        elif kind == "reasoning":
            yield self._item_event("response.reasoning_text.done", content_index=0, text=item["content"][0]["text"])
        else:
            done = {"name": item["name"], "arguments": item["arguments"]}
            yield self._item_event("response.function_call_arguments.done", **done)
        yield self._event("response.output_item.done", output_index=len(self.output) - 1, item=_copied(item))

    def _finish(self, last: TextDelta) -> Iterator[Event]:
        whole = last.finish_reason != "length"
        if not self.output:
            yield from self._add_text(TextDelta())
        yield from self._close(whole=whole)
        self._usage = last.usage
        self._status = "completed" if whole else "incomplete"
        if not whole:
            self._more["incomplete_details"] = {"reason": "max_output_tokens"}
        if last.provenance is not None:
            self._more["swarm"] = to_plain(last.provenance)
        yield self._event(f"response.{self._status}", response=self.body())

    # -- words --------------------------------------------------------------------------------------------------------

    @property
    def _item(self) -> dict[str, Any]:
        return self.output[-1]

    def _name(self, prefix: str) -> str:
        return f"{prefix}_{self.id}_{len(self.output)}"

    def _item_event(self, type: str, **more: Any) -> Event:
        return self._event(type, item_id=self._item["id"], output_index=len(self.output) - 1, **more)

    def _event(self, type: str, **more: Any) -> Event:
        self._events += 1
        return {"type": type, "sequence_number": self._events - 1, **more}

    def _usage_body(self) -> dict[str, Any] | None:
        if self._usage is None:
            return None
        return {
            "input_tokens": self._usage.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": self._usage.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": self._usage.prompt_tokens + self._usage.completion_tokens,
        }


def _copied(item: dict[str, Any]) -> dict[str, Any]:
    """As it is now: the item grows on."""
    content = {"content": [dict(part) for part in item["content"]]} if "content" in item else {}
    return {**item, **content}


def _text_options(text: dict[str, Any]) -> dict[str, Any]:
    return text if text.get("format") else {"format": {"type": "text"}}


def _tool_choice(choice: Any) -> Any:
    return choice if isinstance(choice, str) else choice.model_dump() if choice else "auto"


def _tool(tool: ToolSpec) -> dict[str, Any]:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": json.loads(tool.parameters),
        "strict": tool.strict,
    }
