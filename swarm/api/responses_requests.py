"""Bodies of POST /v1/responses become generation requests.

The node keeps no conversations: `previous_response_id` and what else needs a store is refused by name, and every
request brings its whole conversation in `input`, as coding agents do with `store: false`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from swarm.api.openai_requests import Defaults
from swarm.api.shapes.base import Place, Shape, only, read, refusal
from swarm.api.shapes.sampling import SamplingShape, sampling_of
from swarm.api.shapes.swarm_options import SwarmShape, federation_of, split_model
from swarm.api.shapes.tools import (
    MOST_TOOLS,
    FormatShape,
    FunctionName,
    FunctionShape,
    named_choice,
    response_format_of,
    tool_spec,
)
from swarm.domain.generation import ChatMessage, GenerationRequest
from swarm.domain.ids import RequestId, Role
from swarm.domain.sampling_limits import MOST_ALTERNATIVES
from swarm.domain.tools import MadeToolCall, ResponseFormat, TemplateOptions, ToolChoice, ToolSpec


class ResponsePart(Shape):
    type: Literal["input_text", "output_text", "text", "refusal"]
    text: str = ""
    refusal: str = ""


class MessageItem(Shape):
    type: Literal["message"] | None = None
    role: Role
    content: str | list[ResponsePart]


class CallItem(Shape):
    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str


class OutputItem(Shape):
    type: Literal["function_call_output"]
    call_id: str
    output: str | list[ResponsePart]


class ReasoningItem(Shape):
    """Of an earlier answer; the model is not shown it again."""

    type: Literal["reasoning"]


class OtherItem(Shape):
    """Refused by its type: what it stands for would be missing."""

    type: str


ITEM_TAGS = ("message", "function_call", "function_call_output", "reasoning")


def _item_tag(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return "message" if kind is None else kind if kind in ITEM_TAGS else "other"


InputItem = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[CallItem, Tag("function_call")]
    | Annotated[OutputItem, Tag("function_call_output")]
    | Annotated[ReasoningItem, Tag("reasoning")]
    | Annotated[OtherItem, Tag("other")],
    Discriminator(_item_tag),
]


class ResponseTool(Shape):
    """Tools of other types than `function` are left out: only their makers can run them."""

    type: str
    name: FunctionName | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ChosenFunction(Shape):
    type: Literal["function"]
    name: str


class TextOptions(Shape):
    format: FormatShape | None = None


class ReasoningOptions(Shape):
    effort: str | None = None


class ResponseBody(SwarmShape, SamplingShape):
    """POST /v1/responses."""

    input: str | Annotated[list[InputItem], Field(min_length=1)]
    instructions: str | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_ALTERNATIVES)] | None = None
    include: list[str] | None = None
    """`message.output_text.logprobs` is honoured; others name what there is none of here."""
    text: TextOptions | None = None
    tools: Annotated[list[ResponseTool], Field(max_length=MOST_TOOLS)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ChosenFunction | None = None
    parallel_tool_calls: bool | None = None
    reasoning: ReasoningOptions | None = None
    stream: bool | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None

    previous_response_id: only() = None  # type: ignore[valid-type]
    conversation: only() = None  # type: ignore[valid-type]
    prompt: only() = None  # type: ignore[valid-type]
    background: only(False) = None  # type: ignore[valid-type]
    truncation: only("disabled") = None  # type: ignore[valid-type]


LOGPROBS = "message.output_text.logprobs"


@dataclass(frozen=True, slots=True)
class ResponseAsk:
    request: GenerationRequest
    stream: bool
    body: ResponseBody
    """Much of it is repeated in the reply."""


def parse_response(body: Mapping[str, Any], defaults: Defaults) -> ResponseAsk:
    """Raises `RequestError`, which names the parameter."""
    asked = read(ResponseBody, body)
    wants_logprobs = bool(asked.top_logprobs) or LOGPROBS in (asked.include or ())
    strategy, alone = federation_of(asked, defaults.strategy)
    model, by_name = split_model(asked.model)
    tools = _tools(asked)
    choice = _choice(asked, tools)
    effort = asked.reasoning.effort if asked.reasoning else None
    request = GenerationRequest(
        id=RequestId(defaults.id),
        prompt=_conversation(asked),
        sampling=sampling_of(asked, asked.max_output_tokens, (asked.top_logprobs or 0) if wants_logprobs else None),
        model=model,
        strategy=strategy or by_name,
        alone=alone or defaults.alone,
        client=defaults.client,
        parallel_tool_calls=asked.parallel_tool_calls is not False,
        response_format=_format(asked),
        template=TemplateOptions(effort or ""),
    )
    if tools and choice.mode != "none":
        request = replace(request, tools=tools, tool_choice=choice)
    return ResponseAsk(request, asked.stream or False, asked)


def _format(asked: ResponseBody) -> ResponseFormat:
    return response_format_of(asked.text.format if asked.text else None)


def _conversation(asked: ResponseBody) -> tuple[ChatMessage, ...]:
    messages: list[ChatMessage] = []
    if asked.instructions:
        messages.append(ChatMessage("system", asked.instructions))
    if isinstance(asked.input, str):
        return (*messages, ChatMessage("user", asked.input))
    for index, item in enumerate(asked.input):
        _add(messages, item, ("input", index))
    if not any(message.role != "system" for message in messages):
        raise refusal(("input",), "holds no message.")
    return tuple(messages)


def _add(messages: list[ChatMessage], item: Any, place: Place) -> None:
    match item:
        case MessageItem():
            messages.append(ChatMessage(item.role, _text(item.content)))
        case CallItem():
            call = MadeToolCall(item.call_id, item.name, item.arguments)
            before = messages[-1] if messages else None
            if before is not None and before.role == "assistant":
                # What an assistant said and called in one turn is one message of a conversation.
                messages[-1] = replace(before, tool_calls=(*before.tool_calls, call))
            else:
                messages.append(ChatMessage("assistant", "", (call,)))
        case OutputItem():
            messages.append(ChatMessage("tool", _text(item.output), tool_call_id=item.call_id))
        case OtherItem():
            raise refusal((*place, "type"), f"is {item.type[:60]!r}, which this node does not understand.")


def _text(content: str | list[ResponsePart]) -> str:
    return content if isinstance(content, str) else "".join(part.text or part.refusal for part in content)


def _tools(asked: ResponseBody) -> tuple[ToolSpec, ...]:
    specs: dict[str, ToolSpec] = {}
    for index, tool in enumerate(asked.tools or ()):
        if tool.type != "function":
            continue
        if tool.name is None:
            raise refusal(("tools", index, "name"), "is required.")
        if tool.name in specs:
            raise refusal(("tools", index, "name"), f"is {tool.name!r} for a second time.")
        specs[tool.name] = tool_spec(
            FunctionShape(name=tool.name, description=tool.description, parameters=tool.parameters, strict=tool.strict)
        )
    return tuple(specs.values())


def _choice(asked: ResponseBody, tools: tuple[ToolSpec, ...]) -> ToolChoice:
    if isinstance(asked.tool_choice, ChosenFunction):
        return named_choice(asked.tool_choice.name, tools)
    if asked.tool_choice == "required" and not tools:
        raise refusal(("tool_choice",), "asks for a call, and `tools` names no function.")
    return ToolChoice(asked.tool_choice or "auto")
