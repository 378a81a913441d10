"""A decided answer comes as a stream that tells what the winner told."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from swarm.domain.answers import ToolCall
from swarm.domain.federation import FederationResult, PeerVote
from swarm.domain.generation import Usage
from swarm.domain.ids import NodeId
from swarm.domain.tokens import TokenLogprob
from swarm.federation.replay import PIECE_CHARS, replay

TEXT = "word " * 40
VOTE = PeerVote(NodeId("bob"), TEXT, "stop", 41, -0.5, "demo", "d1", 0.1, prompt_tokens=3)
TOLD = tuple(TokenLogprob("word ", tuple(b"word "), -0.5) for _ in range(40))


def result(vote: PeerVote) -> FederationResult:
    return FederationResult(vote, "weighted_vote", 1.0, 1.0, True, "all agree", ())


def test_text_comes_in_pieces_and_all_tokens_are_counted() -> None:
    *pieces, last = replay(result(VOTE))
    assert "".join(piece.text for piece in pieces) == TEXT
    assert max(len(piece.text) for piece in pieces) <= PIECE_CHARS
    assert sum(piece.tokens for piece in pieces) == 41
    assert last.usage == Usage(3, 41)


def test_pieces_are_whole_tokens_where_log_probabilities_are_told() -> None:
    *pieces, last = replay(result(replace(VOTE, token_logprobs=TOLD, reasoning="Hm.")))
    assert pieces[0].reasoning == "Hm."
    assert "".join(piece.text for piece in pieces) == TEXT
    assert tuple(told for piece in pieces for told in piece.token_logprobs) == TOLD
    assert all("".join(told.token for told in piece.token_logprobs) == piece.text for piece in pieces)
    assert last.provenance is not None
    assert last.provenance.decision is not None
    assert last.provenance.decision.winner.token_logprobs == ()


def token(text: str) -> TokenLogprob:
    return TokenLogprob(text, tuple(text.encode()), -0.1)


def test_calls_come_name_first_and_thoughts_before_them() -> None:
    calls = (ToolCall("weather", '{"city": "Rome", "days": 3, "units": "metric"}'), ToolCall("clock", "{}"))
    vote = replace(VOTE, text="", reasoning="Which city?", tool_calls=calls, finish_reason="tool_calls")
    *deltas, last = replay(result(vote))
    assert deltas[0].reasoning == "Which city?"
    pieces = [piece for delta in deltas for piece in delta.tool_calls]
    assert [(piece.index, piece.name) for piece in pieces if piece.name] == [(0, "weather"), (1, "clock")]
    for index, call in enumerate(calls):
        own = [piece for piece in pieces if piece.index == index]
        assert own[0].name
        assert "".join(piece.arguments for piece in own) == call.arguments
    assert sum(delta.tokens for delta in deltas) == 41
    assert last.finish_reason == "tool_calls"


@given(st.text(max_size=150), st.lists(st.text(max_size=30), max_size=30))
def test_the_text_is_the_votes_and_every_log_probability_comes_once(text: str, strange: list[str]) -> None:
    """Also where the tokens do not spell the text."""
    for tokens in (tuple(map(token, text)), tuple(map(token, strange))):
        deltas = list(replay(result(replace(VOTE, text=text, token_logprobs=tokens))))
        assert "".join(delta.text for delta in deltas) == text
        assert tuple(given for delta in deltas for given in delta.token_logprobs) == tokens
