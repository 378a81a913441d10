"""A conversation as the checkpoint's chat template takes it, with functions, calls and their results."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from swarm.domain.generation import ChatMessage
from swarm.domain.tools import MadeToolCall, ToolSpec
from swarm.worker.decoder.tools.formats import ToolFormat
from swarm.worker.decoder.tools.speech import Speech
from swarm.worker.failures import PromptFailure

FALLBACK = (
    "You can call these functions:\n{tools}\n"
    'To call one, write <tool_call>\n{{"name": its name, "arguments": its arguments}}\n</tool_call> and nothing else.'
)
"""For a template that knows no functions: put in front of the conversation, or behind its system message."""

Message = dict[str, Any]


def template_messages(
    messages: Sequence[ChatMessage], tools: Sequence[Message], speech: Speech, *, arguments_as_text: bool
) -> list[Message]:
    """`tools`: as `template_tools` gives them. `arguments_as_text`: of earlier calls as JSON text, which some templates
    expect instead of an object."""
    if not speech.knows_tools:
        plain = [_in_words(message) for message in messages]
        return _with_system(plain, FALLBACK.format(tools=_listed(tools))) if tools else plain
    made = [_message(message, speech.format, arguments_as_text) for message in messages]
    if tools and speech.tools_in_system:
        made = _with_system(made, "")
        made[0]["tools"] = json.dumps([tool["function"] for tool in tools], ensure_ascii=False)
    return made


def template_tools(tools: Sequence[ToolSpec]) -> list[Message]:
    """Raises `PromptFailure` for parameters that are no schema."""
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": _parameters(tool)},
        }
        for tool in tools
    ]


def _parameters(tool: ToolSpec) -> Message:
    parameters = _json(tool.parameters or "{}")
    if not isinstance(parameters, dict):
        raise PromptFailure(f"The parameters of the tool {tool.name} must be a JSON schema", param="tools")
    return parameters


def _json(text: str) -> Any:
    """None for what is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _message(message: ChatMessage, format: ToolFormat, arguments_as_text: bool) -> Message:
    made: Message = {"role": message.role, "content": message.content}
    if message.tool_calls:
        made["tool_calls"] = [_call(call, format, arguments_as_text) for call in message.tool_calls]
    if message.tool_call_id:
        made["tool_call_id"] = _id(message.tool_call_id, format)
    if message.name:
        made["name"] = message.name
    return made


def _call(call: MadeToolCall, format: ToolFormat, arguments_as_text: bool) -> Message:
    read = _json(call.arguments or "{}")
    arguments = read if isinstance(read, dict) and not arguments_as_text else call.arguments
    return {"id": _id(call.id, format), "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _id(id: str, format: ToolFormat) -> str:
    """An id of the length that the family's templates insist on; the same for the same id."""
    if format.id_chars != 9 or re.fullmatch("[a-zA-Z0-9]{9}", id):
        return id
    return hashlib.sha256(id.encode()).hexdigest()[:9]


def _in_words(message: ChatMessage) -> Message:
    """For templates that know neither calls nor their results."""
    if message.role == "tool":
        return {"role": "user", "content": f"<tool_response>\n{message.content}\n</tool_response>"}
    calls = [
        f'<tool_call>\n{{"name": {json.dumps(call.name)}, "arguments": {call.arguments or "{}"}}}\n</tool_call>'
        for call in message.tool_calls
    ]
    return {"role": message.role, "content": "\n".join([*([message.content] if message.content else []), *calls])}


def _with_system(messages: list[Message], text: str) -> list[Message]:
    if messages and messages[0]["role"] in ("system", "developer"):
        first = messages[0]
        content = "\n\n".join(part for part in (first["content"], text) if part)
        return [{**first, "content": content}, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


def _listed(tools: Sequence[Message]) -> str:
    return "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
