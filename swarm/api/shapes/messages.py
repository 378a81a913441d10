"""Messages of a conversation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from swarm.api.shapes.base import Place, Shape, refusal
from swarm.domain.generation import ChatMessage
from swarm.domain.ids import Role
from swarm.domain.tools import MadeToolCall


class TextPart(Shape):
    type: Literal["text"]
    text: str


class RefusalPart(Shape):
    """Of an earlier answer."""

    type: Literal["refusal"]
    refusal: str


ContentPart = Annotated[TextPart | RefusalPart, Field(discriminator="type")]
"""The model reads text only: parts of other types are refused, never left out."""


class CalledFunction(Shape):
    name: Annotated[str, Field(min_length=1)]
    arguments: str
    """JSON, as the model wrote it."""


class CallMade(Shape):
    id: str = ""
    type: Literal["function"] = "function"
    function: CalledFunction


class Message(Shape):
    role: Role
    content: str | list[ContentPart] | None = None
    """Null only of an assistant that called tools or said nothing."""
    name: str | None = None
    tool_calls: list[CallMade] | None = None
    tool_call_id: str | None = None


def messages_of(messages: list[Message]) -> tuple[ChatMessage, ...]:
    """Raises `RequestError`."""
    return tuple(_message(message, ("messages", index)) for index, message in enumerate(messages))


def _message(message: Message, place: Place) -> ChatMessage:
    if message.content is None and message.role != "assistant":
        raise refusal((*place, "content"), "is required: a string, or a list of parts of type text.")
    if message.tool_calls and message.role != "assistant":
        raise refusal((*place, "tool_calls"), "is for messages of the assistant.")
    return ChatMessage(
        role=message.role,
        content=_text(message.content),
        tool_calls=tuple(
            MadeToolCall(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()
        ),
        tool_call_id=message.tool_call_id or "",
        name=message.name or "",
    )


def _text(content: str | list[TextPart | RefusalPart] | None) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.text if isinstance(part, TextPart) else part.refusal for part in content or ())
