"""Where a request can run, best first, and in words why it can run nowhere."""

from __future__ import annotations

from swarm.domain.coverage import what_is_unserved
from swarm.domain.errors import RequestError, Unavailable
from swarm.domain.generation import GenerationRequest
from swarm.domain.nodes import NodeStatus, PeerInfo
from swarm.federation.voters import is_usable, pressure

Route = PeerInfo | None
"""A peer, or None for this node."""


def plan_routes(request: GenerationRequest, status: NodeStatus, peers: tuple[PeerInfo, ...]) -> tuple[Route, ...]:
    """This node while it has a free slot, else the least busy; the rest are for the case that those fail."""
    here: list[tuple[float, float, Route]] = []
    if status.can_answer and _serves(status, request.model):
        free = pressure(status.load) < 1
        here = [(-1.0 if free else pressure(status.load), 0.0, None)]
    there = [
        (pressure(peer.status.load), peer.round_trip_s or 0.0, peer)
        for peer in peers
        if is_usable(peer) and peer.status and peer.node != status.node and _stands_in(peer.status, request, status)
    ]
    return tuple(route for _, _, route in sorted([*here, *there], key=lambda option: option[:2]))


def _serves(status: NodeStatus, model: str | None) -> bool:
    return model is None or (status.model is not None and status.model.id == model)


def _stands_in(theirs: NodeStatus, request: GenerationRequest, ours: NodeStatus) -> bool:
    """Where the client named no model, a peer with another one answers only if this node cannot."""
    if request.model is not None or not ours.can_answer:
        return _serves(theirs, request.model)
    return theirs.model is not None and ours.model is not None and theirs.model.digest == ours.model.digest


def check_model(request: GenerationRequest, status: NodeStatus, peers: tuple[PeerInfo, ...]) -> None:
    """Raises `RequestError` where nobody here has the model that the request names."""
    known = sorted({node.model.id for node in (status, *_alive(peers)) if node.model})
    if request.model is None or request.model in known:
        return
    if status.model is None and status.state in ("starting", "loading"):
        # What this node will serve is not known yet: not now, rather than never.
        return
    served = f"served here: {', '.join(known)}" if known else "no model is served here"
    raise RequestError(
        f"The model {request.model!r} does not exist; {served}. GET /v1/models lists them.",
        param="model",
        code="model_not_found",
        status=404,
    )


def _alive(peers: tuple[PeerInfo, ...]) -> list[NodeStatus]:
    return [peer.status for peer in peers if peer.standing == "alive" and not peer.problem and peer.status]


def nobody_can_answer(request: GenerationRequest, status: NodeStatus, peers: tuple[PeerInfo, ...]) -> Unavailable:
    """Tells what is missing at the node that would answer, and what to do about it."""
    concerned = [node for node in (status, *_alive(peers)) if not node.can_answer]
    named = [node for node in concerned if request.model and node.model and node.model.id == request.model]
    nearest = min(named or concerned, key=_distance, default=status)
    where = "" if nearest is status else f"on {nearest.name}: "
    return Unavailable(where + what_is_missing(nearest))


def _distance(status: NodeStatus) -> int:
    """How far a node is from answering."""
    return ("ready", "loading", "starting", "waiting", "failed").index(status.state)


def what_is_missing(status: NodeStatus) -> str:
    match status.state:
        case "failed":
            return (
                f"The model could not be loaded: {status.problem or 'no reason is known'}. Correct it and start again."
            )
        case "waiting":
            return what_is_unserved(status.missing, status.coverage.block_bytes if status.coverage else 0)
        case "starting" | "loading" if status.progress is not None:
            fraction = status.progress.fraction
            done = "" if fraction is None else f", {fraction:.0%} done"
            return f"The model is not loaded yet ({status.progress.what}{done}). Try again in a few seconds."
        case "starting" | "loading":
            return "The model is not loaded yet. Try again in a few seconds."
        case "ready":
            return "No node that can answer serves this model now. Try again in a few seconds."
