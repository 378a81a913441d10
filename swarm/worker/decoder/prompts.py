"""A conversation or raw text to token ids, by the checkpoint's own template."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from swarm.domain.generation import ChatMessage, Prompt
from swarm.domain.ids import Role
from swarm.domain.tokens import TokenPrompt
from swarm.domain.tools import TemplateOptions, ToolSpec
from swarm.worker.decoder.tools.messages import template_messages, template_tools
from swarm.worker.decoder.tools.speech import speech_of
from swarm.worker.failures import PromptFailure

FALLBACK_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""ChatML, for a checkpoint that brings no chat template."""
RESERVED = frozenset(
    {"conversation", "messages", "tools", "documents", "chat_template", "tokenize", "add_generation_prompt"}
    | {"continue_final_message", "padding", "truncation", "max_length", "return_tensors", "return_dict"}
    | {"return_assistant_tokens_mask", "tokenizer_kwargs"}
)
"""Not the caller's to set: they are no variables of the template, or the request says them elsewhere."""


def token_ids(
    tokenizer: Any,
    prompt: Prompt,
    context_tokens: int,
    tools: Sequence[ToolSpec] = (),
    options: TemplateOptions = TemplateOptions(),  # noqa: B008
    *,
    room: int = 1,
) -> list[int]:
    """Raises `PromptFailure` where the template refuses the messages, or the prompt leaves less than `room` tokens of
    the context."""
    ids = prompt_ids(tokenizer, prompt, tools, options)
    if not ids:
        raise PromptFailure("The prompt is empty; send at least one character", param="prompt")
    if len(ids) + room > context_tokens:
        raise PromptFailure(
            f"This model's maximum context length is {context_tokens} tokens. However, your prompt has {len(ids)} "
            "tokens. Please reduce the length of the prompt.",
            param="messages" if isinstance(prompt, tuple) else "prompt",
            code="context_length_exceeded",
        )
    return ids


def prompt_ids(
    tokenizer: Any,
    prompt: Prompt,
    tools: Sequence[ToolSpec] = (),
    options: TemplateOptions = TemplateOptions(),  # noqa: B008
    *,
    add_special_tokens: bool = True,
) -> list[int]:
    """Of any length. Raises `PromptFailure` where the template refuses the messages."""
    match prompt:
        case str():
            return list(tokenizer.encode(prompt, add_special_tokens=add_special_tokens))
        case TokenPrompt():
            return list(prompt.ids)
        case _:
            text = conversation_text(tokenizer, prompt, tools, options)
            return list(tokenizer.encode(text, add_special_tokens=False))


def conversation_text(
    tokenizer: Any, messages: Sequence[ChatMessage], tools: Sequence[ToolSpec], options: TemplateOptions
) -> str:
    """What the model is given to read. Raises `PromptFailure` where its template fails: it is a stranger's program."""
    specs = template_tools(tools)
    variables = _variables(options)
    try:
        return _rendered(tokenizer, messages, specs, variables, arguments_as_text=False)
    except Exception as error:
        if any(message.tool_calls for message in messages):
            with contextlib.suppress(Exception):  # the first failure is the one to tell
                return _rendered(tokenizer, messages, specs, variables, arguments_as_text=True)
        raise PromptFailure(f"The model's chat template refuses these messages: {error}") from error


def _rendered(
    tokenizer: Any,
    messages: Sequence[ChatMessage],
    specs: list[dict[str, Any]],
    variables: Mapping[str, Any],
    *,
    arguments_as_text: bool,
) -> str:
    speech = speech_of(tokenizer)
    given = specs if speech.knows_tools and not speech.tools_in_system else []
    template = tokenizer.get_chat_template(tools=given or None) if tokenizer.chat_template else FALLBACK_TEMPLATE
    roles = [replace(message, role=_role(message, template)) for message in messages]
    return str(
        tokenizer.apply_chat_template(
            template_messages(roles, specs, speech, arguments_as_text=arguments_as_text),
            given or None,
            chat_template=template,
            add_generation_prompt=True,
            tokenize=False,
            **variables,
        )
    )


def _variables(options: TemplateOptions) -> dict[str, Any]:
    """For the template, by the names that most templates know."""
    given = _json(options.kwargs)
    if not isinstance(given, Mapping):
        raise PromptFailure("`chat_template_kwargs` must be an object", param="chat_template_kwargs")
    for name in given:
        if name in RESERVED:
            raise PromptFailure(f"`chat_template_kwargs` cannot set {name}", param="chat_template_kwargs")
    effort = options.reasoning_effort
    named = {"reasoning_effort": effort, "enable_thinking": effort != "none"} if effort else {}
    return {**named, **given}


def _json(text: str) -> Any:
    """None for what is no JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _role(message: ChatMessage, template: str) -> Role:
    """Templates that do not know OpenAI's newer name for the system role get the old one."""
    return "system" if message.role == "developer" and "developer" not in template else message.role
