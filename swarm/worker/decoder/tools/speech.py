"""How a checkpoint's template speaks of reasoning and functions. Read once a model."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jinja2
from jinja2 import meta

from swarm.worker.decoder.tools.formats import TAGS, ToolFormat, format_of
from swarm.worker.decoder.tools.output import ThinkingMarks

THINKING = (
    ThinkingMarks("<think>", "</think>"),
    ThinkingMarks("[THINK]", "[/THINK]"),
    ThinkingMarks("<seed:think>", "</seed:think>"),
)


@dataclass(frozen=True, slots=True)
class Speech:
    """What a template knows, and how the model then writes."""

    knows_tools: bool
    tools_in_system: bool
    """The template reads the functions from the system message, as Phi's does."""
    format: ToolFormat
    thinking: ThinkingMarks | None
    specials: Mapping[str, int]
    """Ids of the tokenizer's special tokens by their text."""


def speech_of(tokenizer: Any) -> Speech:
    added = getattr(tokenizer, "added_tokens_decoder", {})
    specials = {str(token.content): number for number, token in added.items() if token.special}
    return _read(_template(tokenizer), tuple(sorted(specials.items())))


@functools.lru_cache(maxsize=4)
def _read(template: str, specials: tuple[tuple[str, int], ...]) -> Speech:
    in_system = "message['tools']" in template or 'message["tools"]' in template
    knows_tools = in_system or "tools" in _variables(template)
    format = format_of(template) if knows_tools else TAGS
    thinking = next((marks for marks in THINKING if marks.close in template), None)
    return Speech(knows_tools, in_system, format, thinking, dict(specials))


def _template(tokenizer: Any) -> str:
    template = getattr(tokenizer, "chat_template", None) or ""
    if isinstance(template, dict):
        return str(template.get("tool_use") or template.get("default") or "")
    return str(template)


def _variables(template: str) -> set[str]:
    """That the template reads from outside."""
    try:
        return meta.find_undeclared_variables(jinja2.Environment(extensions=_EXTENSIONS).parse(template))
    except jinja2.TemplateError:  # tags that transformers adds; the name alone must tell then
        return {"tools"} if "tools" in template else set()


_EXTENSIONS = ("jinja2.ext.loopcontrols", "jinja2.ext.do")
