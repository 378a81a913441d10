"""What a request asks of an answer's form: functions that may be called, JSON, and options of the chat template."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A function that the model may call."""

    name: str
    description: str = ""
    parameters: str = "{}"
    """JSON Schema of the arguments, as JSON text."""
    strict: bool = False
    """The arguments must match the schema."""


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """`auto`: the model decides; `required`: at least one call; `named`: a call of `name`."""

    mode: Literal["none", "auto", "required", "named"] = "auto"
    name: str = ""


@dataclass(frozen=True, slots=True)
class MadeToolCall:
    """A call in the conversation so far, with the id by which a later `tool` message answers it."""

    id: str
    name: str
    arguments: str
    """JSON text."""


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a call that is being written. The first of an index has id and name; pieces of `arguments` join."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """What the whole answer must be."""

    kind: Literal["text", "json_object", "json_schema"] = "text"
    schema: str = ""
    """JSON Schema as JSON text, where `kind` is `json_schema`."""


@dataclass(frozen=True, slots=True)
class TemplateOptions:
    """What the caller hands to the chat template."""

    reasoning_effort: str = ""
    """Empty: the template's own choice."""
    kwargs: str = "{}"
    """`chat_template_kwargs`: a JSON object, as JSON text."""
