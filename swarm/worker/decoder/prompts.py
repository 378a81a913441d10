"""A conversation or raw text to token ids, by the checkpoint's own template."""

from __future__ import annotations

from typing import Any

import jinja2

from swarm.domain.generation import ChatMessage, Prompt
from swarm.domain.tokens import TokenPrompt
from swarm.worker.failures import PromptFailure

FALLBACK_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""ChatML, for a checkpoint that brings no chat template."""


def token_ids(tokenizer: Any, prompt: Prompt, context_tokens: int) -> list[int]:
    """Raises `PromptFailure` where the template refuses the messages or the prompt fills the context."""
    match prompt:
        case str():
            ids = list(tokenizer.encode(prompt))
        case TokenPrompt():
            ids = list(prompt.ids)
        case _:
            ids = _conversation(tokenizer, prompt)
    if not ids:
        raise PromptFailure("The prompt is empty; send at least one character", param="prompt")
    if len(ids) >= context_tokens:
        raise PromptFailure(
            f"This model's maximum context length is {context_tokens} tokens. However, your prompt has {len(ids)} "
            "tokens. Please reduce the length of the prompt.",
            param="messages" if isinstance(prompt, tuple) else "prompt",
            code="context_length_exceeded",
        )
    return ids


def _conversation(tokenizer: Any, messages: tuple[ChatMessage, ...]) -> list[int]:
    template = None if tokenizer.chat_template else FALLBACK_TEMPLATE
    plain = [{"role": _role(message, tokenizer), "content": message.content} for message in messages]
    try:
        text = tokenizer.apply_chat_template(plain, chat_template=template, add_generation_prompt=True, tokenize=False)
    except (jinja2.TemplateError, OverflowError, ValueError, TypeError) as error:
        raise PromptFailure(f"The model's chat template refuses these messages: {error}") from error
    return list(tokenizer.encode(text, add_special_tokens=False))


def _role(message: ChatMessage, tokenizer: Any) -> str:
    """Templates that do not know OpenAI's newer name for the system role get the old one."""
    if message.role == "developer" and "developer" not in (tokenizer.chat_template or ""):
        return "system"
    return message.role
