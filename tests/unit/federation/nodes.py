"""Nodes, peers and requests for the tests of federation."""

from __future__ import annotations

from dataclasses import replace

from swarm.domain.generation import ChatMessage, GenerationRequest, Sampling
from swarm.domain.ids import BootId, NodeId, NodeState, RequestId
from swarm.domain.nodes import Endpoint, Load, ModelInfo, NodeStatus, PeerInfo

DEMO = ModelInfo("demo", "digest-demo", layers=6, context_tokens=512)
LARGE = ModelInfo("large", "digest-large", layers=32, context_tokens=4096)


def node_status(name: str, state: NodeState = "ready", model: ModelInfo | None = DEMO, **changes: object) -> NodeStatus:
    status = NodeStatus(
        node=NodeId(name),
        boot=BootId("boot"),
        name=name,
        version="0.1.0",
        protocol=1,
        state=state,
        hardware="",
        instances=1,
        load=Load(slots=1),
        model=model,
    )
    return replace(status, **changes)  # type: ignore[arg-type]


def peer_info(name: str, *, round_trip_s: float = 0.01, **changes: object) -> PeerInfo:
    status = node_status(name, **changes)  # type: ignore[arg-type]
    return PeerInfo(NodeId(name), BootId("boot"), Endpoint("127.0.0.1", 1), "alive", status, 0.0, round_trip_s)


def ask(model: str | None = None, **changes: object) -> GenerationRequest:
    request = GenerationRequest(RequestId("request-1"), (ChatMessage("user", "35 + 35 = ?"),), Sampling(), model)
    return replace(request, **changes)  # type: ignore[arg-type]
