"""OpenAI's bodies become requests, or an error that names the parameter."""

from __future__ import annotations

from typing import Any

import pytest

from swarm.api.bodies import parse_json_object
from swarm.api.openai_requests import Defaults, parse_chat, parse_completion, split_model
from swarm.domain.errors import RequestError
from swarm.domain.generation import ChatMessage, Resume, Sampling

DEFAULTS = Defaults(id="id", strategy="weighted_vote")
QUESTION = {"role": "user", "content": "Hi"}


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
    habits = {"tools": [], "logprobs": False, "top_k": -1, "presence_penalty": 0.0, "logit_bias": {}, "best_of": 1}
    assert chat(user="me", store=True, junk={"a": 1}, response_format={"type": "text"}, **habits) == chat()


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("tools", [{"type": "function"}]),
        ("tool_choice", "required"),
        ("response_format", {"type": "json_object"}),
        ("logprobs", True),
        ("logprobs", 0),
        ("logit_bias", {"1": 1}),
        ("presence_penalty", 0.5),
        ("frequency_penalty", -1),
        ("top_k", 40),
        ("min_p", 0.1),
        ("repetition_penalty", 1.1),
        ("echo", True),
        ("suffix", "x"),
        ("best_of", 2),
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
        ("stop", ["a", ""]),
        ("stop", [1]),
        ("stop", ["a"] * 65),
        ("seed", 2**63),
        ("seed", 1.0),
        ("n", 0),
        ("n", 17),
        ("stream", "yes"),
        ("stream_options", {}),
        ("model", 7),
        ("model", "\ud800"),
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
        ("messages[0].content", [{"role": "user", "content": "\udc00"}]),
        ("messages[0].content", [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]),
        ("messages[0].tool_calls", [{"role": "assistant", "content": None, "tool_calls": [{"id": "x"}]}]),
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
        ChatMessage("user", "ab"),
    )


def test_max_completion_tokens_wins_over_the_old_name() -> None:
    assert chat(max_tokens=5, max_completion_tokens=7).requests[0].sampling.max_tokens == 7


def test_choices_have_ids_and_seeds_of_their_own() -> None:
    requests = chat(n=3, seed=2**63 - 2).requests
    assert [request.id for request in requests] == ["id-0", "id-1", "id-2"]
    assert [request.sampling.seed for request in requests] == [2**63 - 2, 2**63 - 1, -(2**63)]
    assert all(request.sampling.seed is None for request in chat(n=2).requests)


@pytest.mark.parametrize("prompt", [None, 7, [], [1, 2], [[1]], ["a", 1], ["a"] * 17, {"a": 1}])
def test_a_prompt_is_text_or_a_list_of_texts(prompt: Any) -> None:
    with pytest.raises(RequestError) as caught:
        parse_completion({"prompt": prompt}, DEFAULTS)
    assert caught.value.param == "prompt"


def test_prompts_times_choices_are_bounded() -> None:
    assert len(parse_completion({"prompt": ["a", "b"], "n": 8}, DEFAULTS).requests) == 16
    with pytest.raises(RequestError, match="at most 16"):
        parse_completion({"prompt": ["a", "b"], "n": 9}, DEFAULTS)


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
