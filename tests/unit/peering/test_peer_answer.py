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
from swarm.peering.answer import END, AnswerReader
from swarm.peering.http import Reply, failure_of
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
