"""`ports.PeerLink` over a LAN of made-up nodes, for those who probe it: who answers where, and how."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Literal

from swarm.domain.errors import PeerError
from swarm.domain.federation import PeerVote
from swarm.domain.generation import GenerationRequest, TextScore
from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Endpoint, Load, NodeStatus, PeerInfo
from swarm.ports.clock import Clock
from swarm.ports.peer_link import PeerRefused
from swarm.ports.text_source import TextSource

Host = NodeStatus | Literal["silent"]


def node_status(node: str, boot: str = "boot1", **changes: object) -> NodeStatus:
    plain: dict[str, object] = {
        "node": NodeId(node),
        "boot": BootId(boot),
        "name": f"{node}-machine",
        "version": "0.1.0",
        "protocol": 1,
        "state": "ready",
        "hardware": "cpu",
        "instances": 1,
        "load": Load(),
    }
    return NodeStatus(**{**plain, **changes})  # type: ignore[arg-type]


@dataclass
class MadeUpLan:
    """`hosts` maps addresses to statuses, or to `silent`; any other address refuses."""

    clock: Clock
    hosts: dict[Endpoint, Host] = field(default_factory=dict)
    probed: list[Endpoint] = field(default_factory=list)
    goodbyes: list[Endpoint] = field(default_factory=list)
    hellos: list[Endpoint] = field(default_factory=list)
    tables: dict[Endpoint, tuple[PeerInfo, ...]] = field(default_factory=dict)
    """What nodes say when they are asked for their peers."""
    open_probes: int = 0
    most_open_probes: int = 0

    async def probe(self, endpoint: Endpoint, timeout_s: float) -> NodeStatus:
        self.probed.append(endpoint)
        self.open_probes += 1
        self.most_open_probes = max(self.most_open_probes, self.open_probes)
        try:
            host = self.hosts.get(endpoint)
            if host is None:
                raise PeerRefused(f"{endpoint} refused")
            if isinstance(host, NodeStatus):
                await asyncio.sleep(0)
                return host
            await self.clock.sleep(timeout_s)
            raise PeerError(f"{endpoint} did not answer")
        finally:
            self.open_probes -= 1

    async def goodbye(self, endpoint: Endpoint, status: NodeStatus) -> None:
        self.goodbyes.append(endpoint)

    async def hello(self, endpoint: Endpoint, status: NodeStatus, port: int) -> None:
        self.hellos.append(endpoint)

    async def peers_of(self, endpoint: Endpoint, timeout_s: float) -> tuple[PeerInfo, ...]:
        if endpoint not in self.tables:
            raise PeerError(f"{endpoint} does not say")
        return self.tables[endpoint]

    async def request_vote(self, peer: PeerInfo, request: GenerationRequest, timeout_s: float) -> tuple[PeerVote, ...]:
        raise PeerError("nobody votes on this LAN")

    async def request_scores(
        self, peer: PeerInfo, request: GenerationRequest, texts: tuple[str, ...], timeout_s: float
    ) -> tuple[TextScore | None, ...]:
        raise PeerError("nobody judges on this LAN")

    def source(self, peer: PeerInfo) -> TextSource:
        raise NotImplementedError
