"""This node as others see it, and what it takes from what they say of themselves."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from ipaddress import ip_address

import swarm
from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Advert, Endpoint, NodeStatus, PeerInfo
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
        coverage=state.coverage,
        progress=state.progress,
        problem=state.problem,
        chain_addresses=state.chain_addresses,
        requests=counts.requests,
        tokens=counts.tokens,
        tokens_per_s=counts.tokens_per_s,
    )


def advert_of(status: NodeStatus, endpoints: tuple[Endpoint, ...]) -> Advert:
    return Advert(
        node=status.node,
        boot=status.boot,
        endpoints=endpoints,
        version=status.version,
        protocol=status.protocol,
        instances=status.instances,
        model_id=status.model.id if status.model else "",
        hardware_summary=status.hardware,
    )


def chain_addresses_of(peer: PeerInfo) -> tuple[str, ...]:
    """Those at the address where the peer answers: no peer can make this node dial a third machine."""
    claimed = peer.status.chain_addresses if peer.status else ()
    return tuple(address for address in claimed if _is_at(address, peer.endpoint.host))


def _is_at(multiaddress: str, host: str) -> bool:
    with contextlib.suppress(ValueError, IndexError):  # `/ip4/192.168.1.20/tcp/…`; anything else is nonsense
        return ip_address(multiaddress.split("/")[2]) == ip_address(host.partition("%")[0])
    return False
