"""A decided answer as a stream."""

from __future__ import annotations

from collections.abc import Iterator

from swarm.domain.federation import FederationResult
from swarm.domain.generation import Provenance, TextDelta, Usage

PIECE_CHARS = 40
"""Small enough to look like a stream, large enough to cost nothing."""


def replay(result: FederationResult) -> Iterator[TextDelta]:
    """The winner's text in pieces, its tokens spread over them, and the last delta with the decision."""
    vote = result.winner
    pieces = [vote.text[start : start + PIECE_CHARS] for start in range(0, len(vote.text), PIECE_CHARS)]
    for index, piece in enumerate(pieces):
        tokens = vote.tokens * (index + 1) // len(pieces) - vote.tokens * index // len(pieces)
        yield TextDelta(piece, tokens, tokens * (vote.mean_logprob or 0.0))
    yield TextDelta(
        finish_reason=vote.finish_reason,
        usage=Usage(vote.prompt_tokens, vote.tokens),
        provenance=Provenance("federation", (vote.node,), vote.model, vote.model_digest, result),
    )
