"""A decided answer as a stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from swarm.domain.federation import FederationResult, PeerVote
from swarm.domain.generation import Provenance, TextDelta, Usage
from swarm.domain.tokens import TokenLogprob
from swarm.domain.tools import ToolCallDelta

PIECE_CHARS = 40
"""Small enough to look like a stream, large enough to cost nothing."""


def replay(result: FederationResult) -> Iterator[TextDelta]:
    """The winner's thoughts, text and calls in pieces, its tokens with them, and the last delta with the decision."""
    vote = result.winner
    thoughts = [TextDelta(reasoning=piece) for piece in _cut(vote.reasoning)]
    yield from _spread(vote, [*thoughts, *_text(vote), *_calls(vote)])
    yield TextDelta(
        finish_reason=vote.finish_reason,
        usage=Usage(vote.prompt_tokens, vote.tokens),
        provenance=Provenance("federation", (vote.node,), vote.model, vote.model_digest, _record(result)),
    )


def _record(result: FederationResult) -> FederationResult:
    """Without what the answer itself tells."""
    return replace(result, winner=replace(result.winner, token_logprobs=(), reasoning=""))


def _spread(vote: PeerVote, pieces: Sequence[TextDelta]) -> Iterator[TextDelta]:
    for index, piece in enumerate(pieces):
        tokens = vote.tokens * (index + 1) // len(pieces) - vote.tokens * index // len(pieces)
        yield replace(piece, tokens=tokens, logprob_sum=tokens * (vote.mean_logprob or 0.0))


def _text(vote: PeerVote) -> list[TextDelta]:
    """Pieces of whole tokens where these are told. Where they do not spell the text, as where a character is cut in
    two, they go with its last piece."""
    told = vote.token_logprobs
    if told and "".join(token.token for token in told) == vote.text:
        return list(_of_tokens(told))
    pieces = [TextDelta(piece) for piece in _cut(vote.text)]
    if told:
        *before, last = pieces or [TextDelta()]
        return [*before, replace(last, token_logprobs=told)]
    return pieces


def _of_tokens(told: Sequence[TokenLogprob]) -> Iterator[TextDelta]:
    piece: list[TokenLogprob] = []
    for token in told:
        piece.append(token)
        if sum(len(told.token) for told in piece) >= PIECE_CHARS:
            yield _piece(piece)
            piece = []
    if piece:
        yield _piece(piece)


def _piece(tokens: Sequence[TokenLogprob]) -> TextDelta:
    return TextDelta("".join(told.token for told in tokens), token_logprobs=tuple(tokens))


def _calls(vote: PeerVote) -> Iterator[TextDelta]:
    """Ids are given where the answer leaves the swarm."""
    for index, call in enumerate(vote.tool_calls):
        yield TextDelta(tool_calls=(ToolCallDelta(index, name=call.name),))
        for piece in _cut(call.arguments):
            yield TextDelta(tool_calls=(ToolCallDelta(index, arguments=piece),))


def _cut(text: str) -> list[str]:
    return [text[start : start + PIECE_CHARS] for start in range(0, len(text), PIECE_CHARS)]
