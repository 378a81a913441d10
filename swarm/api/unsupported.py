"""Parameters that are understood but cannot be honoured yet: refused, never silently ignored."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from swarm.api.fields import Fields

NEUTRAL: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "tools": ([],),
        "tool_choice": ("none", "auto"),
        "functions": ([],),
        "function_call": ("none", "auto"),
        "response_format": ({"type": "text"},),
        "modalities": (["text"], []),
        "audio": (),
        "web_search_options": (),
        "logprobs": (False,),
        "top_logprobs": (0,),
        "logit_bias": ({},),
        "presence_penalty": (0,),
        "frequency_penalty": (0,),
        "repetition_penalty": (1,),
        "repeat_penalty": (1,),
        "top_k": (0, -1),
        "min_p": (0,),
        "min_tokens": (0,),
        "stop_token_ids": ([],),
        "ignore_eos": (False,),
        "include_stop_str_in_output": (False,),
        "continue_final_message": (False,),
        "echo": (False,),
        "suffix": ("",),
        "best_of": (1,),
    }
)
"""The values that change nothing, and that clients send by habit; null always does."""


def refuse_unsupported(body: Fields) -> None:
    for name, harmless in NEUTRAL.items():
        value = body.get(name)
        if value is not None and not any(_same(value, neutral) for neutral in harmless):
            raise body.refuse(name, "is not supported by this node yet; leave it out.")


def _same(value: Any, neutral: Any) -> bool:
    """Equal, where true is not 1 and false is not 0: `logprobs: 0` asks for log-probabilities."""
    return isinstance(value, bool) == isinstance(neutral, bool) and bool(value == neutral)
