"""OpenAI's bodies become requests, or an error that names the parameter."""

from __future__ import annotations

import json
from typing import Any

import pytest

from swarm.api.bodies import parse_json_object
from swarm.api.openai_requests import Defaults, parse_chat, parse_completion
from swarm.api.shapes.swarm_options import split_model
from swarm.domain.errors import RequestError
from swarm.domain.generation import ChatMessage, Resume, Sampling
from swarm.domain.tokens import TokenPrompt
from swarm.domain.tools import MadeToolCall, ResponseFormat, TemplateOptions, ToolChoice, ToolSpec

DEFAULTS = Defaults(id="id", strategy="weighted_vote")
QUESTION = {"role": "user", "content": "Hi"}
CALL = {"id": "c1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
NOW = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}


def chat(**more: Any) -> Any:
    return parse_chat({"messages": [QUESTION], **more}, DEFAULTS)


def test_what_is_not_said_is_openais_default() -> None:
    ask = chat()
    assert ask.requests[0].sampling == Sampling()
    assert ask.requests[0].model is None
    assert (ask.stream, ask.include_usage, len(ask.requests)) == (False, False, 1)
    assert parse_completion({"prompt": "x"}, DEFAULTS).requests[0].sampling.max_tokens == 16


def test_null_means_unset_everywhere() -> None:
    names = "model stream stream_options n seed stop temperature top_p max_tokens max_completion_tokens swarm tools "
    names += "logprobs response_format logit_bias presence_penalty top_k best_of"
    assert chat(**dict.fromkeys(names.split())) == chat()


def test_neutral_values_and_unknown_keys_are_let_through() -> None:
    habits = {
        "functions": [],
        "logprobs": False,
        "skip_special_tokens": True,
        "top_k": -1,
        "presence_penalty": 0.0,
        "logit_bias": {},
        "best_of": 1,
    }
    assert chat(user="me", store=True, junk={"a": 1}, response_format={"type": "text"}, **habits) == chat()


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("tools", []),
        ("tools[0].function", [{"type": "function"}]),
        ("tools[0].function.name", [{"type": "function", "function": {"name": "no spaces"}}]),
        ("tools[1].function.name", [{"type": "function", "function": {"name": "a"}}] * 2),
        ("tool_choice", "required"),
        ("tool_choice", {"type": "function", "function": {"name": "absent"}}),
        ("functions", [{"name": "f"}]),
        ("function_call", {"name": "f"}),
        ("response_format.type", {"type": "xml"}),
        ("response_format.json_schema", {"type": "json_schema"}),
        ("logprobs", 0),
        ("top_logprobs", 2),
        ("top_logprobs", 21),
        ("logit_bias", {"x": 1}),
        ("logit_bias", {"-1": 1}),
        ("logit_bias.1", {"1": 101}),
        ("presence_penalty", 2.1),
        ("frequency_penalty", -2.1),
        ("top_k", -2),
        ("min_p", 1.1),
        ("repetition_penalty", 0),
        ("repeat_penalty", 5e-324),
        ("stop_token_ids[0]", [-1]),
        ("min_tokens", -1),
        ("echo", True),
        ("best_of", 2),
        ("continue_final_message", True),
        ("guided_regex", "a*"),
        ("mirostat", 2),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "x"}),
        ("chat_template", "{{ messages }}"),
        ("max_tokens", 0),
        ("max_tokens", True),
        ("max_tokens", 1.5),
        ("max_completion_tokens", -1),
        ("temperature", 2.1),
        ("temperature", -0.1),
        ("temperature", "1"),
        ("temperature", float("nan")),
        ("top_p", 0),
        ("top_p", 1.1),
        ("stop", ""),
        ("stop[1]", ["a", ""]),
        ("stop[0]", [1]),
        ("stop", ["a"] * 65),
        ("seed", 2**63),
        ("seed", 1.0),
        ("n", 0),
        ("n", 129),
        ("stream", "yes"),
        ("stream_options", {}),
        ("model", 7),
        ("swarm", []),
        ("swarm.strategy", {"strategy": "loudest"}),
        ("swarm.strategy", {"strategy": "best_of_n", "federation": False}),
        ("swarm.federation", {"federation": 1}),
        ("messages", []),
        ("messages", "Hi"),
        ("messages[0]", ["Hi"]),
        ("messages[0].role", [{"role": "wizard", "content": "x"}]),
        ("messages[0].role", [{"role": ["user"], "content": "x"}]),
        ("messages[0].content", [{"role": "user"}]),
        ("messages[0].content[0]", [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]),
        ("messages[0].content[1]", [{"role": "user", "content": [{"type": "text", "text": "a"}, "b"]}]),
        ("messages[0].content[0].text", [{"role": "user", "content": [{"type": "text"}]}]),
        ("messages[0].tool_calls[0].function", [{"role": "assistant", "content": None, "tool_calls": [{"id": "x"}]}]),
        ("messages[0].tool_calls", [{"role": "user", "content": "", "tool_calls": [CALL]}]),
    ],
)
def test_a_bad_or_unsupported_value_is_refused_by_name(param: str, value: Any) -> None:
    with pytest.raises(RequestError) as caught:
        chat(**{param.partition(".")[0].partition("[")[0]: value})
    assert caught.value.param == param
    assert caught.value.status == 400
    assert f"`{param}`" in str(caught.value)


def test_content_may_be_parts_of_text_and_roles_are_openais() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    messages = [
        {"role": "developer", "content": "be brief"},
        {"role": "assistant", "content": None},
        {"role": "user", "content": parts, "name": "me"},
    ]
    assert parse_chat({"messages": messages}, DEFAULTS).requests[0].prompt == (
        ChatMessage("developer", "be brief"),
        ChatMessage("assistant", ""),
        ChatMessage("user", "ab", name="me"),
    )


def test_calls_and_their_results_are_part_of_the_conversation() -> None:
    messages = [
        QUESTION,
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "12:00"},
    ]
    assert parse_chat({"messages": messages}, DEFAULTS).requests[0].prompt == (
        ChatMessage("user", "Hi"),
        ChatMessage("assistant", "", (MadeToolCall("c1", "now", "{}"),)),
        ChatMessage("tool", "12:00", tool_call_id="c1"),
    )


def test_all_that_sampling_knows_can_be_asked_for() -> None:
    said = {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "min_p": 0.05,
        "presence_penalty": 1,
        "frequency_penalty": -1,
        "repeat_penalty": 1.1,
        "logit_bias": {"5": -100, "6": 1.5},
        "logprobs": True,
        "top_logprobs": 3,
        "min_tokens": 2,
        "ignore_eos": True,
        "stop_token_ids": [2],
        "stop": ["a", "b"],
        "seed": 7,
        "max_completion_tokens": 10**30,
    }
    assert chat(**said).requests[0].sampling == Sampling(
        0.5, 0.9, 2**31 - 1, ("a", "b"), 7, 40, 0.05, 1, -1, 1.1, ((5, -100), (6, 1.5)), 3, 2, True, (2,)
    )
    assert chat(top_k=-1).requests[0].sampling.top_k == 0
    assert chat(logprobs=True).requests[0].sampling.logprobs == 0


def test_tools_of_unknown_types_are_left_out() -> None:
    """Coding agents send `namespace` and `web_search` with every request."""
    request = chat(tools=[{"type": "web_search"}, NOW, {"type": "namespace", "name": "x"}]).requests[0]
    assert request.tools == (ToolSpec("now", parameters='{"type": "object"}'),)
    assert request.tool_choice == ToolChoice("auto")
    with pytest.raises(RequestError, match="names no function"):
        chat(tools=[{"type": "web_search"}], tool_choice="required")


def test_which_function_is_called_can_be_chosen() -> None:
    named = {"type": "function", "function": {"name": "now"}}
    assert chat(tools=[NOW], tool_choice=named).requests[0].tool_choice == ToolChoice("named", "now")
    assert chat(tools=[NOW], tool_choice="none").requests[0].tools == ()
    assert chat(tool_choice="auto").requests[0].tools == ()
    assert not chat(tools=[NOW], parallel_tool_calls=False).requests[0].parallel_tool_calls


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"type": "json_object"}, ResponseFormat("json_object")),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": {"a": 1}}}, {"a": 1}),
        ({"type": "json_schema", "schema": {"a": 1}}, {"a": 1}),
        ({"type": "json_object", "schema": {"a": 1}}, {"a": 1}),
    ],
)
def test_a_schema_is_found_wherever_servers_have_it(said: Any, meant: Any) -> None:
    wanted = meant if isinstance(meant, ResponseFormat) else ResponseFormat("json_schema", json.dumps(meant))
    assert chat(response_format=said).requests[0].response_format == wanted


def test_the_chat_template_gets_what_it_is_handed() -> None:
    request = chat(reasoning_effort="low", chat_template_kwargs={"enable_thinking": False}).requests[0]
    assert request.template == TemplateOptions("low", '{"enable_thinking": false}')


def test_of_a_union_the_branch_that_was_meant_is_told() -> None:
    with pytest.raises(RequestError, match="must be a valid string or must be a valid list"):
        chat(stop=5)


def test_half_a_character_is_refused_wherever_it_is() -> None:
    body = rb'{"messages": [{"role": "user", "content": "\ud83d"}]}'
    with pytest.raises(RequestError) as caught:
        parse_json_object(body)
    assert caught.value.param == "messages[0].content"
    assert parse_json_object(rb'{"a": "\ud83d\ude00"}') == {"a": "\N{GRINNING FACE}"}


def test_max_completion_tokens_wins_over_the_old_name() -> None:
    assert chat(max_tokens=5, max_completion_tokens=7).requests[0].sampling.max_tokens == 7


def test_choices_have_ids_and_seeds_of_their_own() -> None:
    requests = chat(n=3, seed=2**63 - 2).requests
    assert [request.id for request in requests] == ["id-0", "id-1", "id-2"]
    assert [request.sampling.seed for request in requests] == [2**63 - 2, 2**63 - 1, -(2**63)]
    assert all(request.sampling.seed is None for request in chat(n=2).requests)


@pytest.mark.parametrize("prompt", [None, 7, [], [-1], [[1], "a"], ["a", 1], ["a"] * 129, {"a": 1}])
def test_a_prompt_is_text_or_a_list_of_texts(prompt: Any) -> None:
    with pytest.raises(RequestError) as caught:
        parse_completion({"prompt": prompt}, DEFAULTS)
    assert (caught.value.param or "").startswith("prompt")


def test_a_prompt_may_be_token_ids() -> None:
    def prompts(given: Any) -> list[Any]:
        return [request.prompt for request in parse_completion({"prompt": given}, DEFAULTS).requests]

    assert prompts([1, 2]) == [TokenPrompt((1, 2))]
    assert prompts([[1], [2, 3]]) == [TokenPrompt((1,)), TokenPrompt((2, 3))]


def test_completions_echo_count_and_choose_the_best() -> None:
    ask = parse_completion({"prompt": "x", "echo": True, "max_tokens": 0, "logprobs": 1}, DEFAULTS)
    assert (ask.requests[0].echo, ask.requests[0].sampling.max_tokens) == (True, 0)
    assert ask.requests[0].sampling.logprobs == 1
    ask = parse_completion({"prompt": ["x", "y"], "best_of": 3, "n": 2}, DEFAULTS)
    assert (len(ask.requests), ask.choices_per_prompt, ask.candidates_per_prompt) == (6, 2, 3)
    for bad in ({"best_of": 1, "n": 2}, {"best_of": 2, "stream": True}):
        with pytest.raises(RequestError, match="best_of"):
            parse_completion({"prompt": "x", **bad}, DEFAULTS)
    with pytest.raises(RequestError) as caught:
        parse_completion({"prompt": "x", "suffix": "y"}, DEFAULTS)
    assert caught.value.param == "suffix"


def test_prompts_times_choices_are_bounded() -> None:
    assert len(parse_completion({"prompt": ["a", "b"], "n": 64}, DEFAULTS).requests) == 128
    with pytest.raises(RequestError, match="at most 128"):
        parse_completion({"prompt": ["a", "b"], "n": 65}, DEFAULTS)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"a": Infinity}', b"\xff", b'{"a":' * 100_000, b'{"a": ' + b"9" * 5000 + b"}"]
)
def test_no_bytes_are_more_than_a_bad_request(body: bytes) -> None:
    with pytest.raises(RequestError):
        parse_json_object(body)


def test_a_peer_may_ask_to_go_on_with_an_answer() -> None:
    body = {"messages": [QUESTION], "swarm": {"resume": {"tokens": [5, 6], "model_digest": "d1"}}}
    alone = Defaults(id="id", strategy="weighted_vote", alone=True)
    assert parse_chat(body, alone).requests[0].resume == Resume((5, 6), "d1")
    assert chat(swarm={}).requests[0].resume is None
    for refused, defaults in (
        (body, DEFAULTS),
        (body | {"n": 2}, alone),
        (body | {"swarm": {"resume": {"tokens": [-1]}}}, alone),
        (body | {"swarm": {"resume": {"tokens": "ab"}}}, alone),
    ):
        with pytest.raises(RequestError, match="resume"):
            parse_chat(refused, defaults)


def test_token_ids_come_where_they_are_asked_for() -> None:
    assert chat(return_token_ids=True).token_ids
    assert not chat().token_ids


@pytest.mark.parametrize(
    ("name", "model", "strategy"),
    [
        ("swarm-demo:best_of_n", "swarm-demo", "best_of_n"),
        ("swarm-demo@route", "swarm-demo", "route"),
        ("qwen2.5:7b", "qwen2.5:7b", None),
        ("qwen2.5:7b:mbr", "qwen2.5:7b", "mbr"),
        ("weighted_vote", None, "weighted_vote"),
        (None, None, None),
    ],
)
def test_a_strategy_can_be_said_in_the_models_name(name, model, strategy) -> None:
    assert split_model(name) == (model, strategy)


def test_what_the_body_says_goes_before_the_models_name() -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}], "model": "m:mbr", "swarm": {"strategy": "best_of_n"}}
    assert parse_chat(body, Defaults("id", "weighted_vote")).strategy == "best_of_n"
    body = {"messages": [{"role": "user", "content": "Hi"}], "strategy": "abstain"}
    assert parse_chat(body, Defaults("id", "weighted_vote")).strategy == "abstain"
