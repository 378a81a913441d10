"""Whether to go on looking for a node that has a model, to ask the hub, or to leave that to another node. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from swarm.domain.ids import NodeId
from swarm.domain.nodes import NodeStatus, PeerInfo, statuses_of_living

NextStep = Literal["look", "hub", "leave_to_other"]


def next_step(
    model_id: str, own: NodeId | None, peers: Sequence[PeerInfo], looked_s: float, look_s: float
) -> tuple[NextStep, NodeId | None]:
    """What to do where nobody offers the model yet, and the other node that it depends on. `own`: this node's id,
    where it may ask the hub itself.

    Nodes that are still loading may have it soon. Of several that all lack it, the one with the lowest id asks the
    hub, and the others wait for what it gets; one that has tried in vain lets the next one try."""
    others = statuses_of_living(peers)
    loading = next((status for status in others if _may_have_it(status, model_id)), None)
    if looked_s < look_s or loading is not None:
        return "look", loading.node if loading else None
    seekers = [status.node for status in others if status.wanted == model_id and status.problem is None]
    first = min([*seekers, *([own] if own else [])], default=own)
    return ("hub", None) if first == own else ("leave_to_other", first)


def _may_have_it(status: NodeStatus, model_id: str) -> bool:
    is_starting = status.state in ("starting", "loading") and status.problem is None
    return is_starting and status.model is None and status.wanted != model_id
