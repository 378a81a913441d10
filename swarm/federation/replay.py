"""A decided answer as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from swarm.domain.federation import FederationResult, PeerVote
from swarm.domain.generation import Provenance, TextDelta, Usage
from swarm.domain.tokens import TokenLogprob

PIECE_CHARS = 40
"""Small enough to look like a stream, large enough to cost nothing."""


def replay(result: FederationResult) -> Iterator[TextDelta]:
    """The winner's text in pieces, its tokens spread over them, and the last delta with the decision."""
    vote = result.winner
    if vote.reasoning:
        yield TextDelta(reasoning=vote.reasoning)
    yield from _told(vote) if vote.token_logprobs else _spread(vote)
    yield TextDelta(
        finish_reason=vote.finish_reason,
        usage=Usage(vote.prompt_tokens, vote.tokens),
        provenance=Provenance("federation", (vote.node,), vote.model, vote.model_digest, _record(result)),
    )


def _record(result: FederationResult) -> FederationResult:
    """Without what the answer itself tells."""
    return replace(result, winner=replace(result.winner, token_logprobs=(), reasoning=""))


def _spread(vote: PeerVote) -> Iterator[TextDelta]:
    pieces = [vote.text[start : start + PIECE_CHARS] for start in range(0, len(vote.text), PIECE_CHARS)]
    for index, piece in enumerate(pieces):
        tokens = vote.tokens * (index + 1) // len(pieces) - vote.tokens * index // len(pieces)
        yield TextDelta(piece, tokens, tokens * (vote.mean_logprob or 0.0))


def _told(vote: PeerVote) -> Iterator[TextDelta]:
    """Whole tokens, with what is told of them."""
    piece: list[TokenLogprob] = []
    for told in vote.token_logprobs:
        piece.append(told)
        if sum(len(token.token) for token in piece) >= PIECE_CHARS:
            yield _piece(piece)
            piece = []
    if piece:
        yield _piece(piece)


def _piece(tokens: list[TokenLogprob]) -> TextDelta:
    return TextDelta(
        "".join(told.token for told in tokens),
        len(tokens),
        sum(told.logprob or 0.0 for told in tokens),
        token_logprobs=tuple(tokens),
    )
