"""What an answer is made of besides text, and what form a request asks its answers to have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

AnswerKind = Literal["auto", "tools", "json", "code", "text"]
"""`auto`: the text alone tells whether it is JSON, code, a final answer or free text."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the model wants to be called. Ids are the API's matter: no two nodes would choose the same."""

    name: str
    arguments: str
    """JSON, as the model wrote it."""


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """What the request says about its answers; nothing that a node says can change it."""

    kind: AnswerKind = "auto"
    schema: Mapping[str, Any] | None = None
    """JSON Schema of the answer where `kind` is `json`; None where any JSON will do."""
    tools: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """JSON Schema of the parameters by name of the tool, where `kind` is `tools`."""
    must_call: bool = False
    """A text without a call is no answer."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What each letter of a multiple choice stands for; empty where the request offers none."""
