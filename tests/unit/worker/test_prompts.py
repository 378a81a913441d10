"""Conversations become what the checkpoint's template makes of them, or an error that says why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from swarm.domain.generation import ChatMessage
from swarm.domain.tokens import TokenPrompt
from swarm.domain.tools import MadeToolCall, TemplateOptions, ToolSpec
from swarm.worker.decoder.prompts import conversation_text, prompt_ids, token_ids
from swarm.worker.failures import PromptFailure

DEMO = Path(__file__).parents[3] / "swarm/demo_model"
HELLO = (ChatMessage("user", "hi"),)


def tokenizer(template: Any = None) -> Any:
    made = AutoTokenizer.from_pretrained(DEMO)
    made.chat_template = template
    return made


def text(template: Any, messages: tuple[ChatMessage, ...] = HELLO, *tools: ToolSpec, **options: str) -> str:
    return conversation_text(tokenizer(template), messages, tools, TemplateOptions(**options))


def test_a_checkpoint_without_a_template_gets_chatml() -> None:
    assert text(None) == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception('System role not supported') }}",
        "{{ messages.__class__.__mro__ }}",
        "{% for _ in range(10**9) %}{% endfor %}",
        "{{ 1 // 0 }}",
        "{{ messages[7].role.name }}",
        "{% for %}",
    ],
)
def test_whatever_goes_wrong_in_a_template_is_the_requests_error(template: str) -> None:
    with pytest.raises(PromptFailure, match="chat template refuses"):
        text(template)


def test_a_template_that_does_not_know_developers_gets_a_system_message() -> None:
    said = (ChatMessage("developer", "Be brief."), *HELLO)
    plain = "{% for m in messages %}{{ m.role }};{% endfor %}"
    assert text(plain, said) == "system;user;"
    assert text(plain + "{% if 'developer' %}{% endif %}", said) == "developer;user;"


def test_calls_and_their_answers_reach_the_template_as_objects() -> None:
    call = MadeToolCall("c1", "add", '{"a": 1}')
    said = (
        ChatMessage("assistant", "", (call, MadeToolCall("c2", "add", "broken"))),
        ChatMessage("tool", "3", tool_call_id="c1", name="add"),
    )
    made = json.loads(text("{{ messages | tojson }}{% if tools %}{% endif %}", said))
    assert made[0]["tool_calls"][0] == {
        "id": "c1",
        "type": "function",
        "function": {"name": "add", "arguments": {"a": 1}},
    }
    assert made[0]["tool_calls"][1]["function"]["arguments"] == "broken"
    assert made[1] == {"role": "tool", "content": "3", "tool_call_id": "c1", "name": "add"}
    assert json.loads(text("{{ messages | tojson }}")) == [{"role": "user", "content": "hi"}]


def test_a_template_that_knows_no_tools_is_told_of_them_in_words() -> None:
    said = (
        ChatMessage("system", "Be brief."),
        ChatMessage("assistant", "", (MadeToolCall("c1", "add", '{"a": 1}'),)),
        ChatMessage("tool", "3", tool_call_id="c1"),
    )
    system, call, result = json.loads(text("{{ messages | tojson }}", said, ToolSpec("add", "sums", "{}")))
    assert system["content"].startswith("Be brief.\n\nYou can call")
    assert '{"name": "add", "description": "sums", "parameters": {}}' in system["content"]
    assert call == {"role": "assistant", "content": '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'}
    assert result == {"role": "user", "content": "<tool_response>\n3\n</tool_response>"}


def test_templates_that_join_arguments_as_text_get_text() -> None:
    said = (ChatMessage("assistant", "", (MadeToolCall("c1", "add", '{"a": 1}'),)),)
    template = "{% if tools %}{% endif %}{{ 'args: ' + messages[0].tool_calls[0].function.arguments }}"
    assert text(template, said) == 'args: {"a": 1}'


def test_mistrals_ids_have_nine_characters_and_stay_the_same() -> None:
    said = (
        ChatMessage("assistant", "", (MadeToolCall("call_123456", "add", "{}"),)),
        ChatMessage("tool", "3", tool_call_id="call_123456"),
    )
    made, result = json.loads(text("{{ messages | tojson }}{# [TOOL_CALLS] #}{% if tools %}{% endif %}", said))
    assert made["tool_calls"][0]["id"] == result["tool_call_id"]
    assert len(result["tool_call_id"]) == 9


def test_tools_choose_the_template_that_is_made_for_them() -> None:
    named = {"default": "plain", "tool_use": "{{ tools[0].function.name }}"}
    assert text(named) == "plain"
    assert text(named, HELLO, ToolSpec("add", parameters='{"type": "object"}')) == "add"
    with pytest.raises(PromptFailure, match="add"):
        text(named, HELLO, ToolSpec("add", parameters="[]"))


def test_options_of_the_caller_reach_the_template_and_reserved_ones_do_not() -> None:
    template = "{{ reasoning_effort }} {{ enable_thinking }} {{ mood }}"
    assert text(template, reasoning_effort="none", kwargs='{"mood": "good"}') == "none False good"
    with pytest.raises(PromptFailure, match="tokenize") as error:
        text(template, kwargs='{"tokenize": true}')
    assert error.value.param == "chat_template_kwargs"


def test_a_prompt_of_token_ids_is_read_as_it_is() -> None:
    assert token_ids(tokenizer(), TokenPrompt((5, 6)), 10) == [5, 6]
    with pytest.raises(PromptFailure, match="maximum context length is 2 tokens"):
        token_ids(tokenizer(), TokenPrompt((5, 6)), 2)
    assert prompt_ids(tokenizer(), TokenPrompt((5, 6))) == [5, 6]
    with pytest.raises(PromptFailure, match="empty"):
        token_ids(tokenizer(), "", 10)
