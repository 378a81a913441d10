"""A decided answer comes as a stream that tells what the winner told."""

from __future__ import annotations

from dataclasses import replace

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
