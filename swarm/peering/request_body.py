"""A request in OpenAI's words, as a peer's API reads it. Pure."""

from __future__ import annotations

import json
from typing import Any

from swarm.domain.generation import ChatMessage, GenerationRequest, Sampling
from swarm.domain.tokens import TokenPrompt
from swarm.domain.tools import MadeToolCall, ResponseFormat, ToolChoice, ToolSpec
from swarm.wire.codec import to_plain

CONTEXT_TOKENS = 2**20
"""For a raw prompt without `max_tokens`, where OpenAI's default would be 16; the peer stops at its own context."""


def request_body(request: GenerationRequest) -> dict[str, Any]:
    """For whichever of the two endpoints its prompt is meant for; what is left out has OpenAI's default."""
    return {
        **_prompt(request),
        **_sampling(request.sampling),
        **_form(request),
        "stream": True,
        "return_token_ids": True,
        "stream_options": {"include_usage": True},
        **({"model": request.model} if request.model is not None else {}),
        **({"swarm": {"resume": to_plain(request.resume)}} if request.resume else {}),
    }


def _prompt(request: GenerationRequest) -> dict[str, Any]:
    prompt, sampling = request.prompt, request.sampling
    chosen: dict[str, Any] = {} if sampling.max_tokens is None else {"max_tokens": sampling.max_tokens}
    if isinstance(prompt, tuple):
        if sampling.logprobs is not None:
            chosen |= {"logprobs": True, "top_logprobs": sampling.logprobs}
        return {"messages": [_message(message) for message in prompt], **chosen}
    if sampling.logprobs is not None:
        chosen["logprobs"] = sampling.logprobs
    if request.echo:
        chosen["echo"] = True
    text = list(prompt.ids) if isinstance(prompt, TokenPrompt) else prompt
    return {"prompt": text, "max_tokens": CONTEXT_TOKENS, **chosen}


def _message(message: ChatMessage) -> dict[str, Any]:
    optional = {
        "name": message.name,
        "tool_call_id": message.tool_call_id,
        "tool_calls": [_call(call) for call in message.tool_calls],
    }
    return {"role": message.role, "content": message.content, **{key: said for key, said in optional.items() if said}}


def _call(call: MadeToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _sampling(sampling: Sampling) -> dict[str, Any]:
    """Temperature and top_p always, the rest where it is not what it is without being said."""
    plain = Sampling()
    names = (
        "seed",
        "top_k",
        "min_p",
        "presence_penalty",
        "frequency_penalty",
        "repetition_penalty",
        "min_tokens",
        "ignore_eos",
    )
    chosen = {name: getattr(sampling, name) for name in names if getattr(sampling, name) != getattr(plain, name)}
    if sampling.stop:
        chosen["stop"] = list(sampling.stop)
    if sampling.stop_token_ids:
        chosen["stop_token_ids"] = list(sampling.stop_token_ids)
    if sampling.logit_bias:
        chosen["logit_bias"] = {str(token): bias for token, bias in sampling.logit_bias}
    return {"temperature": sampling.temperature, "top_p": sampling.top_p, **chosen}


def _form(request: GenerationRequest) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if request.response_format.kind != "text":
        said["response_format"] = _response_format(request.response_format)
    if request.tools:
        said |= {
            "tools": [_tool(tool) for tool in request.tools],
            "tool_choice": _tool_choice(request.tool_choice),
            "parallel_tool_calls": request.parallel_tool_calls,
        }
    if request.template.reasoning_effort:
        said["reasoning_effort"] = request.template.reasoning_effort
    if kwargs := json.loads(request.template.kwargs):
        said["chat_template_kwargs"] = kwargs
    return said


def _response_format(format: ResponseFormat) -> dict[str, Any]:
    if format.kind == "json_object":
        return {"type": "json_object"}
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "strict": True, "schema": json.loads(format.schema)},
    }


def _tool(tool: ToolSpec) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": json.loads(tool.parameters)}
    return {"type": "function", "function": {**function, "strict": tool.strict}}


def _tool_choice(choice: ToolChoice) -> Any:
    return {"type": "function", "function": {"name": choice.name}} if choice.mode == "named" else choice.mode
