"""Which form the answers to a request have, as far as the request tells: by its fields, or by its last question."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from swarm.domain.answers import AnswerForm
from swarm.domain.generation import GenerationRequest

_OPTION = re.compile(r"^\s*\(?([A-Ha-h])[).:]\s+(\S[^\n]*)$", re.MULTILINE)
_CODE = re.compile(
    r"\b(?:write|implement|complete|create|define|give|refactor|fix)\b[^.\n?]{0,60}"
    r"\b(?:function|method|class|program|script|code|query|snippet|regex)\b",
    re.IGNORECASE,
)
_LETTERS = "abcdefgh"


def expected_form(request: GenerationRequest) -> AnswerForm:
    """The request's own form, or that of its tools, or of its response format; for `auto`, with the options that the
    last question offers, or `code` where it asks for some."""
    form = request.form
    if form.kind != "auto" or form.options:
        return form
    if request.tools and request.tool_choice.mode != "none":
        return _of_tools(request)
    match request.response_format.kind:
        case "json_schema":
            return replace(form, kind="json", schema=_schema(request.response_format.schema))
        case "json_object":
            return replace(form, kind="json", schema={"type": "object"})
        case "text":
            return _by_question(request, form)


def _of_tools(request: GenerationRequest) -> AnswerForm:
    mode, named = request.tool_choice.mode, request.tool_choice.name
    tools = {tool.name: _schema(tool.parameters) for tool in request.tools if mode != "named" or tool.name == named}
    return AnswerForm("tools", tools=tools, must_call=mode in ("required", "named"))


def _schema(text: str) -> Mapping[str, Any]:
    """One that cannot be read holds nobody to anything."""
    try:
        schema = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return schema if isinstance(schema, dict) else {}


def _by_question(request: GenerationRequest, form: AnswerForm) -> AnswerForm:
    question = _question(request)
    options = _options(question)
    if options:
        return replace(form, options=options)
    return replace(form, kind="code") if _CODE.search(question) else form


def _question(request: GenerationRequest) -> str:
    if isinstance(request.prompt, tuple):
        return next((message.content for message in reversed(request.prompt) if message.role == "user"), "")
    return request.prompt if isinstance(request.prompt, str) else ""


def _options(question: str) -> dict[str, str]:
    """The last run of options that begins with A and leaves no letter out; at least two."""
    run: dict[str, str] = {}
    for letter, text in _OPTION.findall(question):
        if letter.lower() == "a":
            run = {}
        if letter.lower() == _LETTERS[len(run) : len(run) + 1]:
            run[letter.lower()] = text.strip()
    return run if len(run) > 1 else {}
