"""Where a request can run, best first, and in words why it can run nowhere."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from statistics import median

from swarm.domain.coverage import what_is_unserved
from swarm.domain.errors import RequestError, Unavailable
from swarm.domain.generation import GenerationRequest
from swarm.domain.ids import NodeId
from swarm.domain.nodes import NodeStatus, PeerInfo
from swarm.federation.first_words import LOCAL_BONUS
from swarm.federation.voters import Voter, is_usable, pressure

TYPICAL_TOKENS = 256
"""Of an answer; a client's own limit is often far above what it gets."""
UNKNOWN_TOKENS_PER_S = 20.0
SLOWEST_TOKENS_PER_S = 0.01
COLD = 1.3
"""Times as long as when warm, for the first answer of a node."""
SHARING = 0.5
"""What answers in all other slots add to the time of one: they are computed together."""
LONG_TOKENS = 4096
"""An answer that may become so long is a text of its own."""

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


def plan_fastest(
    request: GenerationRequest, status: NodeStatus, peers: tuple[PeerInfo, ...], doubted: Collection[NodeId] = ()
) -> tuple[Route, ...]:
    """By the time to the end of the answer that is to be expected; `doubted` nodes come last, whatever their speed."""
    here = [status] if status.can_answer and _serves(status, request.model) else []
    able = [peer for peer in peers if is_usable(peer) and peer.status and peer.node != status.node]
    there = [(peer, peer.status) for peer in able if peer.status and _stands_in(peer.status, request, status)]
    speeds = [said.tokens_per_s for said in (*here, *(said for _, said in there)) if said.tokens_per_s]
    usual = median(speeds) if speeds else UNKNOWN_TOKENS_PER_S
    tokens = min(request.sampling.max_tokens or TYPICAL_TOKENS, TYPICAL_TOKENS)
    options: list[tuple[bool, float, Route]] = [
        (False, LOCAL_BONUS * expected_s(said, tokens, usual), None) for said in here
    ]
    options += [
        (peer.node in doubted, (peer.round_trip_s or 0.0) + expected_s(said, tokens, usual), peer)
        for peer, said in there
    ]
    return tuple(route for _, _, route in sorted(options, key=lambda option: option[:2]))


def expected_s(status: NodeStatus, tokens: int, usual_tokens_per_s: float) -> float:
    """Until an answer of so many tokens is there: its own time, that of those who wait before it, and what answers
    that run beside it take away. A node that has not answered yet has caches to warm."""
    load, speed = status.load, status.tokens_per_s or usual_tokens_per_s
    own = tokens / max(speed, SLOWEST_TOKENS_PER_S) * (1 if status.requests else COLD)
    beside = SHARING * min(load.running, load.slots) / max(load.slots, 1)
    ahead = max(0, load.running + load.waiting + 1 - load.slots) / max(load.slots, 1)
    return own * (1 + beside + ahead)


def vote_cannot_help(request: GenerationRequest, voters: Sequence[Voter]) -> bool:
    """Several answers are wanted, and a vote makes one of them; or all would say the same, as greedy decoding of one
    model does; or the answer is so long that no two will agree, at several times the cost; or the prompt is to be
    a part of it."""
    digests = {voter.status.model.digest for voter in voters if voter.status.model}
    same = request.sampling.temperature == 0 and len(digests) == 1
    return request.one_of_several or request.echo or same or (request.sampling.max_tokens or 0) >= LONG_TOKENS


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
