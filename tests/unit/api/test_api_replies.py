"""Replies beyond plain text: log-probabilities, calls, the best of several."""

from __future__ import annotations

import pytest

from swarm.api.choices import Piece
from swarm.api.logprob_replies import CompletionLogprobs, chat_logprobs
from swarm.api.openai_replies import CHAT, COMPLETION, Answer, ChunkedReply, ReplyHead, whole_reply
from swarm.domain.generation import TextDelta, Usage
from swarm.domain.tokens import TokenLogprob, TopLogprob
from swarm.domain.tools import ToolCallDelta

GRIN = "\N{GRINNING FACE}".encode()
SPLIT = (
    TokenLogprob("a", (97,), None),
    TokenLogprob("\ufffd", tuple(GRIN[:2]), -1.5, (TopLogprob("x", (120,), -0.25),)),
    TokenLogprob("\ufffd", tuple(GRIN[2:]), -0.5, (TopLogprob("\ufffd", tuple(GRIN[2:]), -0.5),)),
    TokenLogprob("b", (98,), -0.1),
)
LAST = TextDelta(finish_reason="stop", usage=Usage(3, 2))


def head(form=CHAT, **more: int) -> ReplyHead:
    return ReplyHead(form, "id", 0, "m", None, **more)


def answer(*deltas: TextDelta) -> Answer:
    made = Answer()
    for delta in (*deltas, LAST):
        made.add(delta)
    return made


def test_the_bytes_of_all_tokens_are_the_text() -> None:
    entries = chat_logprobs(SPLIT[1:3])["content"]
    assert b"".join(bytes(entry["bytes"]) for entry in entries) == GRIN
    assert entries[0]["top_logprobs"] == [{"token": "x", "logprob": -0.25, "bytes": [120]}]


@pytest.mark.parametrize("cut", range(len(SPLIT)))
def test_parallel_lists_are_the_same_in_chunks_and_offsets_count_characters(cut: int) -> None:
    whole = CompletionLogprobs().body(SPLIT)
    chunked = CompletionLogprobs()
    first, second = chunked.body(SPLIT[:cut]), chunked.body(SPLIT[cut:])
    assert {name: first[name] + second[name] for name in whole} == whole
    assert whole["text_offset"] == [0, 1, 1, 2]
    assert whole["token_logprobs"] == [None, -1.5, -0.5, -0.1]
    assert whole["top_logprobs"] == [None, {"x": -0.25, "\ufffd": -1.5}, {"\ufffd": -0.5}, {"b": -0.1}]


def test_the_likeliest_candidates_of_each_prompt_are_sent_best_first() -> None:
    answers = [
        answer(TextDelta(text, tokens=2, logprob_sum=logprob))
        for text, logprob in (("a", -4.0), ("b", -1.0), ("c", -2.0), ("d", -1.0), ("e", -9.0), ("f", -0.5))
    ]
    told = whole_reply(head(COMPLETION, choices_per_prompt=2, candidates_per_prompt=3), answers)
    assert [choice["text"] for choice in told["choices"]] == ["b", "c", "f", "d"]
    assert [choice["index"] for choice in told["choices"]] == [0, 1, 2, 3]
    assert told["usage"]["prompt_tokens"] == 6
    assert told["usage"]["completion_tokens"] == 12


def test_a_piece_of_half_a_character_is_a_chunk_without_text() -> None:
    reply = ChunkedReply(head(), include_usage=False)
    _, chunk = reply.chunks(Piece(0, TextDelta(tokens=1, token_logprobs=SPLIT[1:2])))
    assert chunk["choices"][0]["delta"] == {}
    assert len(chunk["choices"][0]["logprobs"]["content"]) == 1


def test_a_call_without_an_id_gets_the_same_one_wherever_it_is_told() -> None:
    call = TextDelta(tool_calls=(ToolCallDelta(0, name="now", arguments="{}"),))
    whole = whole_reply(head(), [answer(call)])
    _, chunk = ChunkedReply(head(), include_usage=False).chunks(Piece(0, call))
    assert whole["choices"][0]["message"]["tool_calls"][0]["id"] == "call_id_0_0"
    assert chunk["choices"][0]["delta"]["tool_calls"][0]["id"] == "call_id_0_0"
