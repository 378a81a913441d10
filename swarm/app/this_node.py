"""This node as others see it: its status and its advert, made of what its parts know."""

from __future__ import annotations

from dataclasses import dataclass

import swarm
from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Advert, Endpoint, NodeStatus
from swarm.engine.state import EngineState
from swarm.generation.admission import Admission
from swarm.generation.answering import AnsweringNode
from swarm.host.hardware import Hardware
from swarm.wire.codec import PROTOCOL_VERSION


@dataclass(frozen=True, slots=True)
class Identity:
    """What does not change while the daemon runs."""

    node: NodeId
    boot: BootId
    name: str
    hardware: Hardware
    instances: int


def hardware_summary(host: Hardware, state: EngineState) -> str:
    """The machine, and the device that torch computes on where it is not the processor."""
    device = state.hardware
    return f"{host.summary()}, {device.device_name}" if device and device.device != "cpu" else host.summary()


def status_of(this: Identity, state: EngineState, admission: Admission, answering: AnsweringNode) -> NodeStatus:
    counts = answering.counts
    return NodeStatus(
        node=this.node,
        boot=this.boot,
        name=this.name,
        version=swarm.__version__,
        protocol=PROTOCOL_VERSION,
        state=state.state,
        hardware=hardware_summary(this.hardware, state),
        instances=this.instances,
        load=admission.load,
        model=state.model,
        blocks=state.blocks,
        whole=state.whole,
        missing=state.missing if state.state == "waiting" else (),
        progress=state.progress,
        problem=state.problem,
        chain_addresses=state.chain_addresses,
        requests=counts.requests,
        tokens=counts.tokens,
        tokens_per_s=counts.tokens_per_s,
    )


def advert_of(status: NodeStatus, endpoint: Endpoint) -> Advert:
    return Advert(
        node=status.node,
        boot=status.boot,
        endpoints=(endpoint,),
        version=status.version,
        protocol=status.protocol,
        instances=status.instances,
        model_id=status.model.id if status.model else "",
        hardware_summary=status.hardware,
    )
