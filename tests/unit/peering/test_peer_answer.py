"""A peer's chunks become deltas, and whatever is wrong with them becomes a `PeerError`."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.domain.errors import PeerError, RequestError, Unavailable
from swarm.domain.generation import ChatMessage, GenerationRequest, Provenance, Resume, Sampling, TextDelta, Usage
from swarm.domain.ids import BootId, NodeId, RequestId
from swarm.domain.nodes import Endpoint, PeerInfo
from swarm.domain.tokens import TokenLogprob, TokenPrompt, TopLogprob
from swarm.domain.tools import (
    MadeToolCall,
    ResponseFormat,
    TemplateOptions,
    ToolCallDelta,
    ToolChoice,
    ToolSpec,
)
from swarm.peering.answer import END, AnswerReader
from swarm.peering.http import Reply, failure_of
from swarm.peering.logprobs import checked_logprobs
from swarm.peering.request_body import CONTEXT_TOKENS, request_body
from tests.fakes.made_up_lan import node_status

AT = Endpoint("10.0.0.2", 17615)
PEER = PeerInfo(NodeId("bob"), BootId("boot1"), AT, "alive", node_status("bob"), 0.0)
SWARM = {"route": "chain", "nodes": ["bob", "carol"], "model": "tiny", "model_digest": "d1", "decision": None}


def chunk(text: str | None = None, finish: str | None = None, **more: Any) -> str:
    delta = {} if text is None else {"content": text}
    return json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": None, **more})


def usage(prompt: int, completion: int) -> str:
    return json.dumps({"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}})


def read(*events: str) -> list[TextDelta]:
    reader = AnswerReader(PEER)
    return [delta for event in events if (delta := reader.read(event)) is not None]


def test_pieces_come_at_once_and_the_last_has_reason_usage_and_provenance() -> None:
    deltas = read(chunk(""), chunk("Hel"), chunk("lo"), chunk(finish="stop", swarm=SWARM), usage(3, 4), END)
    assert [delta.text for delta in deltas] == ["Hel", "lo", ""]
    assert [delta.finish_reason for delta in deltas] == [None, None, "stop"]
    assert sum(delta.tokens for delta in deltas) == 4
    assert deltas[-1].usage == Usage(3, 4)
    assert deltas[-1].provenance == Provenance("peer", (NodeId("bob"), NodeId("carol")), "tiny", "d1")


def test_a_text_completion_is_read_too() -> None:
    (first, last) = read(json.dumps({"choices": [{"text": "a", "finish_reason": "length"}]}), END)
    assert (first.text, last.finish_reason) == ("a", "length")


def test_a_server_without_provenance_is_credited_with_the_answer() -> None:
    last = read(chunk("a"), chunk(finish="stop", model="other"), END)[-1]
    assert last.provenance == Provenance("peer", (NodeId("bob"),), "other", "")
    assert last.usage == Usage(0, 1)


def test_half_a_character_does_not_get_through() -> None:
    (delta,) = read('{"choices": [{"delta": {"content": "a\\ud800b"}}]}')
    assert delta.text == "a?b"


def test_nothing_is_read_after_the_end() -> None:
    assert len(read(chunk(finish="stop"), END, chunk("x"), END)) == 1


@pytest.mark.parametrize(
    "event",
    [
        END,
        "",
        "[]",
        "{",
        '{"choices": 7}',
        '{"choices": [{"finish_reason": "boredom"}]}',
        '{"error": {"message": "out of memory", "code": null}}',
        chunk(finish="stop", swarm={"route": "by carrier pigeon"}),
        '{"usage": {"prompt_tokens": NaN}}',
    ],
)
def test_anything_else_is_the_peers_error(event: str) -> None:
    with pytest.raises(PeerError):
        read(chunk("a"), event)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["choices", "delta", "content", "finish_reason", "usage", "error", "swarm", "index"]),
                inner,
            )
        ),
    )
)
def test_no_json_raises_anything_but_a_peer_error(value: Any) -> None:
    with suppress(PeerError):
        read(json.dumps(value))


def reply(status: int, body: bytes = b"", retry_after: str | None = None) -> Reply:
    return Reply(status, "application/json", body, retry_after)


ERROR = json.dumps({"error": {"message": "too\nlong", "type": "x", "param": "messages", "code": "too_long"}}).encode()


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_request_that_can_never_succeed_keeps_its_details(status: int) -> None:
    error = failure_of(reply(status, ERROR), AT)
    assert isinstance(error, RequestError)
    assert (error.status, error.param, error.code) == (status, "messages", "too_long")
    assert "\n" not in str(error)


@pytest.mark.parametrize(("status", "busy"), [(429, True), (503, False)])
@pytest.mark.parametrize(("header", "wait_s"), [("7", 7.0), (None, 2.0), ("soon", 2.0), ("nan", 2.0), ("1e9", 600.0)])
def test_later_it_may_succeed(status: int, busy: bool, header: str | None, wait_s: float) -> None:
    error = failure_of(reply(status, ERROR, header), AT)
    assert isinstance(error, Unavailable)
    assert (error.busy, error.retry_after_s) == (busy, wait_s)


@pytest.mark.parametrize(
    ("status", "body"), [(500, ERROR), (302, b""), (404, b"<html>"), (401, ERROR), (400, b'{"error": "text"}')]
)
def test_all_other_replies_ask_for_another_route(status: int, body: bytes) -> None:
    assert type(failure_of(reply(status, body), AT)) is PeerError


def test_a_conversation_in_openais_words() -> None:
    sampling = Sampling(temperature=0.5, top_p=0.9, max_tokens=7, stop=("END",), seed=3)
    request = GenerationRequest(RequestId("r1"), (ChatMessage("user", "hi"),), sampling, model="tiny")
    assert request_body(request) == {
        "messages": [{"role": "user", "content": "hi"}],
        "model": "tiny",
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 7,
        "stop": ["END"],
        "seed": 3,
        "stream": True,
        "return_token_ids": True,
        "stream_options": {"include_usage": True},
    }


def test_a_raw_prompt_without_a_limit_asks_for_the_whole_context() -> None:
    body = request_body(GenerationRequest(RequestId("r1"), "once"))
    assert (body["prompt"], body["max_tokens"]) == ("once", CONTEXT_TOKENS)
    assert not {"stop", "seed", "model", "messages"} & body.keys()


def read_rest(*events: str) -> list[TextDelta]:
    reader = AnswerReader(PEER, resumed=5)
    return [delta for event in events if (delta := reader.read(event)) is not None]


def chunk_of(text: str, *ids: int) -> str:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None, "token_ids": list(ids)}
    return json.dumps({"choices": [choice]})


def test_token_ids_count_the_tokens_of_a_piece_and_those_before_are_not_counted_again() -> None:
    deltas = read_rest(chunk_of("a", 7, 8), chunk_of("b", 9), chunk(finish="stop"), usage(3, 10), END)
    assert [delta.token_ids for delta in deltas] == [(7, 8), (9,), ()]
    assert [delta.tokens for delta in deltas] == [2, 1, 2]
    assert deltas[-1].usage == Usage(3, 10)


def test_a_peer_that_cannot_go_on_with_an_answer_is_found_by_its_first_piece() -> None:
    with pytest.raises(PeerError, match="began the answer again"):
        read_rest(chunk("Once more"))


def test_an_answer_to_go_on_with_travels_in_the_swarms_own_words() -> None:
    request = GenerationRequest(RequestId("r1"), "x", resume=Resume((1, 2), "d1"))
    assert request_body(request)["swarm"] == {"resume": {"tokens": (1, 2), "model_digest": "d1"}}


def chunk_with(delta: dict[str, Any], **choice: Any) -> str:
    return json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": None, **choice}]})


SMILE = TokenLogprob("\N{GRINNING FACE}", (0x98, 0x80), -0.25, (TopLogprob("a", (97,), -0.1),))


def test_log_probabilities_of_a_conversation_keep_their_bytes() -> None:
    top = [{"token": "a", "logprob": 0.0, "bytes": [97]}]
    told = [
        {"token": "", "logprob": -1e9, "bytes": [0xF0, 0x9F], "top_logprobs": top},
        {"token": SMILE.token, "logprob": -0.25, "bytes": [0x98, 0x80], "top_logprobs": []},
    ]
    event = chunk_with({"content": SMILE.token}, logprobs={"content": told}, token_ids=[4, 5], logprob_sum=-1.5)
    (delta,) = read(event)
    assert [token.raw for token in delta.token_logprobs] == [(0xF0, 0x9F), (0x98, 0x80)]
    assert delta.token_logprobs[0] == TokenLogprob("", (0xF0, 0x9F), -9999.0, (TopLogprob("a", (97,), 0.0),))
    assert (delta.tokens, delta.logprob_sum) == (2, -1.5)


def test_log_probabilities_of_completions_are_read_from_their_lists() -> None:
    lists = {"tokens": ["a", "b"], "token_logprobs": [None, 3.0], "top_logprobs": [None, {"b": -0.5, "c": -2.0}]}
    event = json.dumps({"choices": [{"text": "ab", "logprobs": {**lists, "text_offset": [0, 1]}, "token_ids": []}]})
    (delta,) = read(event)
    assert (delta.tokens, delta.logprob_sum) == (0, 0.0)
    first, second = delta.token_logprobs
    assert (first.logprob, second.logprob) == (None, 0.0)
    assert second.top == (TopLogprob("b", (98,), -0.5), TopLogprob("c", (99,), -2.0))
    with pytest.raises(PeerError, match="different lengths"):
        read(json.dumps({"choices": [{"text": "ab", "logprobs": {**lists, "tokens": ["a"]}}]}))


def test_log_probabilities_of_another_text_are_not_believed() -> None:
    assert checked_logprobs((SMILE,), "something else") == ()
    strange = TokenLogprob("a", (300,), 0.7, (TopLogprob("b", (98,), 5.0),) * 30)
    (made,) = checked_logprobs((strange,), "a")
    assert made == TokenLogprob("a", (97,), 0.0, (TopLogprob("b", (98,), 0.0),) * 20)


def test_calls_and_reasoning_are_read_without_text() -> None:
    call = {"index": 1, "id": "c1", "type": "function", "function": {"name": "add", "arguments": ""}}
    deltas = read(
        chunk_with({"role": "assistant", "content": ""}),
        chunk_with({"reasoning": "Hm.", "reasoning_content": "Hm."}, token_ids=[1]),
        chunk_with({"tool_calls": [call]}, token_ids=[2, 3]),
        chunk_with({"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]}, token_ids=[4]),
        chunk(finish="tool_calls"),
        END,
    )
    assert [delta.reasoning for delta in deltas] == ["Hm.", "", "", ""]
    assert [delta.tool_calls for delta in deltas[1:3]] == [
        (ToolCallDelta(1, "c1", "add", ""),),
        (ToolCallDelta(1, "", "", "{}"),),
    ]
    assert (deltas[-1].finish_reason, deltas[-1].usage) == ("tool_calls", Usage(0, 4))


def test_tokens_that_come_without_text_are_counted_with_the_next() -> None:
    deltas = read(
        chunk_with({}, token_ids=[1], logprob_sum=-0.5),
        chunk_with({"content": "a"}, token_ids=[2], logprob_sum=-0.25),
        chunk_with({"content": "b"}, token_ids=[], logprob_sum=7.0),
        chunk_with({}, token_ids=[3], finish_reason="stop", logprob_sum=-2.0),
        usage(3, 3),
        END,
    )
    assert [delta.token_ids for delta in deltas] == [(1, 2), (), (3,)]
    assert [delta.tokens for delta in deltas] == [2, 0, 1]
    assert [delta.logprob_sum for delta in deltas] == [-0.75, 0.0, -2.0]


def test_everything_that_a_request_can_say_is_said_to_a_peer() -> None:
    request = GenerationRequest(
        RequestId("r1"),
        (
            ChatMessage("assistant", "", (MadeToolCall("c1", "add", "{}"),)),
            ChatMessage("tool", "3", tool_call_id="c1", name="add"),
        ),
        Sampling(logprobs=2, top_k=4, min_p=0.1, logit_bias=((5, -100.0),), ignore_eos=True, stop_token_ids=(9,)),
        response_format=ResponseFormat("json_schema", '{"type": "object"}'),
        tools=(ToolSpec("add", "Adds.", '{"type": "object"}', True),),
        tool_choice=ToolChoice("named", "add"),
        parallel_tool_calls=False,
        template=TemplateOptions("low", '{"mood": "good"}'),
    )
    body = request_body(request)
    function = {"name": "add", "description": "Adds.", "parameters": {"type": "object"}, "strict": True}
    assert body["messages"][0]["tool_calls"] == [
        {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    ]
    assert body["messages"][1] == {"role": "tool", "content": "3", "tool_call_id": "c1", "name": "add"}
    assert (body["logprobs"], body["top_logprobs"], body["logit_bias"]) == (True, 2, {"5": -100.0})
    assert (body["top_k"], body["min_p"], body["ignore_eos"], body["stop_token_ids"]) == (4, 0.1, True, [9])
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert body["tools"] == [{"type": "function", "function": function}]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "add"}}
    assert (body["parallel_tool_calls"], body["reasoning_effort"]) == (False, "low")
    assert body["chat_template_kwargs"] == {"mood": "good"}
    assert "presence_penalty" not in body


def test_token_ids_and_an_echo_are_for_completions() -> None:
    sampling = Sampling(max_tokens=0, logprobs=0)
    body = request_body(GenerationRequest(RequestId("r1"), TokenPrompt((1, 2)), sampling, echo=True))
    assert (body["prompt"], body["max_tokens"], body["logprobs"], body["echo"]) == ([1, 2], 0, 0, True)
