"""What the operator and programs are told at the start: the banner on stderr, the ready line on stdout."""

from __future__ import annotations

import json
from dataclasses import dataclass

import swarm
from swarm.domain.coverage import strength
from swarm.domain.ids import NodeId
from swarm.domain.nodes import Coverage, Endpoint, NodeStatus
from swarm.engine.model_choice import ModelChoice
from swarm.federation.settings import FederationSettings
from swarm.host.addresses import AddressChoice


@dataclass(frozen=True, slots=True)
class Choices:
    """What was chosen for this machine, and why."""

    hardware: str
    address: AddressChoice
    model: ModelChoice
    federation: FederationSettings
    mdns: bool
    static_peers: int


def banner(node: NodeId, name: str, endpoint: Endpoint, choices: Choices) -> str:
    """At the start, before any model is loaded."""
    vote = choices.federation
    rows = {
        "node": f"{name} ({node})",
        "machine": choices.hardware,
        "address": f"{endpoint}: {choices.address.why}",
        "model": f"{choices.model.id}: {choices.model.why}",
        "federation": f"on, {vote.strategy}, {vote.instances} of this node's answers a vote" if vote.enabled else "off",
        "discovery": _discovery(choices),
        "API": f"http://{endpoint}/v1",
        "page": f"http://{endpoint}/",
    }
    lines = [f"Local Swarm {swarm.__version__}", *(f"  {label:<11}{text}" for label, text in rows.items())]
    return "\n".join(lines)


def _discovery(choices: Choices) -> str:
    configured = f"{choices.static_peers} configured peers" if choices.static_peers else "no configured peer"
    return f"mDNS, {configured}" if choices.mdns else f"without mDNS, {configured}"


def serving_line(status: NodeStatus, why: str) -> str:
    """When the model is there: what this node serves, and why so much."""
    blocks = f"blocks {status.blocks}" if status.blocks else "no blocks"
    return f"  serving    {blocks} of {status.model.id if status.model else 'no model'}: {why}"


def coverage_line(coverage: Coverage) -> str:
    """Whenever it changes: what is missing and what would fill it, or how many nodes may die."""
    return f"  coverage   {strength(coverage)}"


def ready_line(status: NodeStatus, endpoint: Endpoint) -> str:
    """One JSON object for programs that wait until this node can answer."""
    return json.dumps(
        {
            "event": "ready",
            "url": f"http://{endpoint}/v1",
            "node": status.node,
            "model": status.model.id if status.model else None,
            "survives": status.coverage.survives if status.coverage else None,
        }
    )
