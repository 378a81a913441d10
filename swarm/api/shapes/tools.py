"""Functions that the model may call, and the form that its answer must have."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from swarm.api.shapes.base import Shape, refusal
from swarm.domain.tools import ResponseFormat, ToolChoice, ToolSpec

MOST_TOOLS = 128

FunctionName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_.-]{1,64}$")]


class FunctionShape(Shape):
    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    """JSON Schema of the arguments."""
    strict: bool | None = None


class ToolShape(Shape):
    type: str
    """Tools of other types than `function` are left out: only their makers can run them."""
    function: FunctionShape | None = None


class NamedFunction(Shape):
    name: str


class NamedTool(Shape):
    type: Literal["function"]
    function: NamedFunction


ToolChoiceShape = Literal["none", "auto", "required"] | NamedTool


class SchemaFormat(Shape):
    name: str | None = None
    description: str | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None
    """The answer always matches the schema, whatever is said here."""


class FormatShape(Shape):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: SchemaFormat | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    """Where /v1/responses and other servers have it: beside the type."""
    name: str | None = None
    strict: bool | None = None


def tools_of(tools: Sequence[ToolShape] | None) -> tuple[ToolSpec, ...]:
    """Raises `RequestError`."""
    specs: dict[str, ToolSpec] = {}
    for index, tool in enumerate(tools or ()):
        if tool.type != "function":
            continue
        if tool.function is None:
            raise refusal(("tools", index, "function"), "is required.")
        spec = tool_spec(tool.function)
        if spec.name in specs:
            raise refusal(("tools", index, "function", "name"), f"is {spec.name!r} for a second time.")
        specs[spec.name] = spec
    return tuple(specs.values())


def tool_spec(function: FunctionShape) -> ToolSpec:
    return ToolSpec(
        function.name,
        function.description or "",
        json.dumps(function.parameters or {}),
        function.strict or False,
    )


def tool_choice_of(choice: ToolChoiceShape | None, tools: Sequence[ToolSpec]) -> ToolChoice:
    """Raises `RequestError`."""
    if isinstance(choice, NamedTool):
        return named_choice(choice.function.name, tools)
    if choice == "required" and not tools:
        raise refusal(("tool_choice",), "asks for a call, and `tools` names no function.")
    return ToolChoice(choice or "auto") if tools else ToolChoice("none")


def named_choice(name: str, tools: Sequence[ToolSpec]) -> ToolChoice:
    if all(tool.name != name for tool in tools):
        raise refusal(("tool_choice",), f"names {name!r}, which is not in `tools`.")
    return ToolChoice("named", name)


def response_format_of(format: FormatShape | None) -> ResponseFormat:
    """Raises `RequestError`."""
    if format is None or format.type == "text":
        return ResponseFormat()
    schema = format.json_schema.schema_ if format.json_schema else format.schema_
    if schema is not None:
        return ResponseFormat("json_schema", json.dumps(schema))
    if format.type == "json_schema":
        raise refusal(("response_format", "json_schema"), "must hold the JSON Schema of the answer as `schema`.")
    return ResponseFormat("json_object")
