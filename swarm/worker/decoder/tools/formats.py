"""How families of models write calls of functions: a table, and the choice from it by the checkpoint's template."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from swarm.worker.decoder.tools.harmony import MARKS

Reader = Literal["json", "bare_json", "python", "function_tags", "key_value_tags", "harmony"]


@dataclass(frozen=True, slots=True)
class ToolFormat:
    """`before NAME between ARGUMENTS after` is a call, `first call separator call … last` are several.

    So is an answer written that must call something; what a model writes freely may differ in blanks."""

    name: str
    opens: tuple[str, ...]
    """Any of these in the text begins a call; none: only the start of the text can."""
    closes: tuple[str, ...] = ()
    """What may stand around calls, and is no text."""
    before: str = '{"name": "'
    between: str = '", "arguments": '
    after: str = "}"
    first: str = ""
    separator: str | None = None
    """None: one call an answer."""
    last: str = ""
    reader: Reader = "json"
    id_chars: int = 24
    """Of the ids of calls: some templates insist on a length."""

    also_seen: tuple[str, ...] = ()
    """Other special tokens that must not be left out of the text."""

    @property
    def marks(self) -> tuple[str, ...]:
        return (*self.opens, *self.closes)


TAGS = ToolFormat(
    "tags",
    opens=("<tool_call>",),
    closes=("</tool_call>",),
    before='<tool_call>\n{"name": "',
    after="}\n</tool_call>",
    separator="\n",
)
"""Hermes, Qwen 2.5 and 3, SmolLM3, and models whose template knows no functions."""
FUNCTION_TAGS = replace(TAGS, name="function_tags", reader="function_tags")
"""Qwen 3 Coder; held to JSON where it must call something."""
KEY_VALUE_TAGS = replace(TAGS, name="key_value_tags", reader="key_value_tags")
"""GLM 4.5 and later; held to JSON where it must call something."""
MISTRAL = ToolFormat(
    "mistral",
    opens=("[TOOL_CALLS]",),
    first="[TOOL_CALLS] [",
    separator=", ",
    last="]",
    id_chars=9,
)
MISTRAL_NAMED = ToolFormat(
    "mistral_named",
    opens=("[TOOL_CALLS]",),
    before="[TOOL_CALLS]",
    between="[ARGS]",
    after="",
    separator="",
    also_seen=("[ARGS]", "[CALL_ID]"),
    id_chars=9,
)
"""Mistral from tokenizer version 11 on."""
LLAMA = ToolFormat(
    "llama",
    opens=("<|python_tag|>",),
    closes=("<|eom_id|>",),
    between='", "parameters": ',
    reader="bare_json",
)
"""Llama 3.1 to 3.3: the call is the whole answer, with or without a mark."""
PYTHON = ToolFormat(
    "python",
    opens=("<|python_start|>",),
    closes=("<|python_end|>",),
    between='", "parameters": ',
    reader="python",
)
"""Llama 4 and others that write calls as Python does; held to JSON where they must call something."""
_DEEPSEEK_SEPARATOR = "<｜tool▁sep｜>"
DEEPSEEK = ToolFormat(
    "deepseek",
    also_seen=(_DEEPSEEK_SEPARATOR,),
    opens=("<｜tool▁call▁begin｜>",),
    closes=("<｜tool▁calls▁begin｜>", "```<｜tool▁call▁end｜>", "<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>"),
    before="<｜tool▁call▁begin｜>function" + _DEEPSEEK_SEPARATOR,
    between="\n```json\n",
    after="\n```<｜tool▁call▁end｜>",
    first="<｜tool▁calls▁begin｜>",
    separator="\n",
    last="<｜tool▁calls▁end｜>",
)
"""DeepSeek V3 and R1."""
DEEPSEEK_PLAIN = replace(
    DEEPSEEK,
    name="deepseek_plain",
    before="<｜tool▁call▁begin｜>",
    between=_DEEPSEEK_SEPARATOR,
    after="<｜tool▁call▁end｜>",
    separator="",
)
"""DeepSeek V3.1 and later."""
LISTED = ToolFormat(
    "listed",
    opens=("<|tool_call|>",),
    closes=("<|/tool_call|>",),
    first="<|tool_call|>[",
    separator=", ",
    last="]<|/tool_call|>",
)
"""Phi 4."""
GRANITE = ToolFormat("granite", opens=("<|tool_call|>",), first="<|tool_call|>[", separator=", ", last="]")
HARMONY = ToolFormat(
    "harmony",
    opens=(),
    before="<|channel|>commentary to=functions.",
    between=" <|constrain|>json<|message|>",
    after="",
    reader="harmony",
    also_seen=MARKS,
)
"""gpt-oss: every answer is written in channels."""

_BY_TEMPLATE: tuple[tuple[tuple[str, ...], ToolFormat], ...] = (
    (("<|channel|>", "<|message|>"), HARMONY),
    (("<function=", "<parameter="), FUNCTION_TAGS),
    (("<arg_key>",), KEY_VALUE_TAGS),
    (("[TOOL_CALLS]", "[ARGS]"), MISTRAL_NAMED),
    (("[TOOL_CALLS]",), MISTRAL),
    (("<｜tool▁calls▁begin｜>", "```json"), DEEPSEEK),
    (("<｜tool▁calls▁begin｜>",), DEEPSEEK_PLAIN),
    (("<|/tool_call|>",), LISTED),
    (("<|tool_call|>",), GRANITE),
    (("func_name1(",), PYTHON),
    (("<|python_start|>",), PYTHON),
    (("<tool_call>",), TAGS),
    (("<|start_header_id|>", '"parameters"'), LLAMA),
    (("<|python_tag|>",), LLAMA),
)
"""What a template must hold; the first that fits."""


def format_of(template: str) -> ToolFormat:
    """`TAGS` where the template tells nothing: what the stated fallback asks for."""
    for strings, format in _BY_TEMPLATE:
        if all(string in template for string in strings):
            return format
    return TAGS
