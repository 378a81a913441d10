"""What the worker says of an answer, as the core knows it. Pure."""

from __future__ import annotations

from dataclasses import replace

from swarm.domain.generation import Provenance, TextDelta, Usage
from swarm.domain.ids import NodeId
from swarm.wire.worker_events import Generated


def delta_of(piece: Generated, node: NodeId, model: str, digest: str) -> TextDelta:
    """`node`: this one. Where the piece is the last, with how the answer ended and who made it."""
    delta = TextDelta(
        piece.text,
        piece.tokens,
        piece.logprob_sum,
        piece.token_ids,
        token_logprobs=piece.token_logprobs,
        tool_calls=piece.tool_calls,
        reasoning=piece.reasoning,
    )
    if piece.finish_reason is None:
        return delta
    # The order of the route is told where every hop is known; this node holds embedding and head in any case.
    nodes = (node, *map(NodeId, piece.servers))
    return replace(
        delta,
        finish_reason=piece.finish_reason,
        usage=Usage(piece.prompt_tokens, piece.completion_tokens),
        provenance=Provenance(piece.route, nodes, model, digest),
    )
