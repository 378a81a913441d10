"""A node without a model: API, membership, discovery and probes as in the daemon, and nothing else.

    python -m tests.lab.member --data-dir FOLDER [--no-mdns] [--peer HOST:PORT] [--wait-for-go]

A worker costs seconds of CPU at each start, which would hide what is measured here. One JSON object a line on stdout:
`loaded`, `ready`, and every event of the membership, each with `at` on the monotonic clock, which all hosts of a LAN
share, and with the whole table as it was then.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import swarm
from swarm.api.server import ApiServer
from swarm.api.services import ApiServices
from swarm.api.settings import ApiSettings
from swarm.app.network_watch import NetworkWatch
from swarm.app.this_node import advert_of
from swarm.discovery.service import SwarmDiscovery
from swarm.discovery.settings import DiscoverySettings
from swarm.discovery.static_peers import static_endpoints
from swarm.domain.errors import Unavailable
from swarm.domain.events import MembershipEvent, PeerLeft
from swarm.domain.federation import PeerVote
from swarm.domain.generation import GenerationRequest
from swarm.domain.ids import NodeId
from swarm.domain.nodes import Advert, Endpoint, Load, NodeStatus
from swarm.host.addresses import lan_address
from swarm.host.clock import SystemClock, new_boot_id, new_id
from swarm.host.identity import load_identity
from swarm.membership.settings import MembershipSettings
from swarm.membership.shell import Membership
from swarm.peering.client import FederationClient
from swarm.wire.codec import PROTOCOL_VERSION
from tests.fakes.text_source import ScriptedSource


class MemberNode:
    def __init__(self, folder: Path, discovery: DiscoverySettings) -> None:
        self._discovery, self._clock, self._host = discovery, SystemClock(), lan_address().host
        self._status = _status(load_identity(folder / "identity.pem").node, folder.name)
        self._link = FederationClient(self._clock)
        self._membership = Membership(
            lambda: self._status, self._link, self._clock, MembershipSettings(), lambda: self._api.endpoints
        )
        self._membership.subscribe(self._tell)
        self._api = ApiServer(self._services(), ApiSettings(), self._host)

    async def serve(self, stop: asyncio.Event) -> None:
        """Starts and stops in the daemon's order."""
        async with self._link, contextlib.AsyncExitStack() as api, asyncio.TaskGroup() as tasks:
            await api.enter_async_context(self._api)
            self._membership.add_static(static_endpoints(self._discovery.peers))
            async with contextlib.AsyncExitStack() as parts:
                probing = tasks.create_task(self._membership.run(), name="membership")
                parts.callback(probing.cancel)
                parts.push_async_callback(self._membership.say_goodbye)
                discovery = await parts.enter_async_context(self._open_discovery())
                network = NetworkWatch(self._api, discovery, self._advert, "", self._clock)
                watching = tasks.create_task(network.run(), name="network")
                parts.push_async_callback(api.aclose)
                parts.callback(watching.cancel)
                self.say("ready", node=self._status.node, boot=self._status.boot)
                await stop.wait()

    def say(self, event: str, **more: Any) -> None:
        rows = [[peer.node, peer.boot, peer.standing] for peer in self._membership.peers()]
        sys.stdout.write(json.dumps({"event": event, "at": self._clock.now(), **more, "rows": rows}) + "\n")
        sys.stdout.flush()

    def _tell(self, event: MembershipEvent) -> None:
        if isinstance(event, PeerLeft):
            self._link.forget(event.peer.node)
        reason = event.reason if isinstance(event, PeerLeft) else ""
        self.say(type(event).__name__, node=event.peer.node, boot=event.peer.boot, reason=reason)

    def _open_discovery(self) -> SwarmDiscovery:
        heard, lost = self._membership.heard_of, self._membership.said_goodbye
        return SwarmDiscovery(self._advert(self._api.endpoints), self._host, self._discovery, heard, lost)

    def _advert(self, endpoints: tuple[Endpoint, ...]) -> Advert:
        return advert_of(self._status, endpoints)

    def _services(self) -> ApiServices:
        return ApiServices(
            answers=ScriptedSource([]),
            votes=_no_votes,
            status=lambda: replace(self._status, news=self._membership.news()),
            peers=self._membership.peers,
            hear_hello=self._membership.said_hello,
            hear_goodbye=self._membership.said_goodbye,
            clock=self._clock,
            new_id=new_id,
        )


async def _no_votes(_request: GenerationRequest) -> tuple[PeerVote, ...]:
    raise Unavailable("This node has no model.")


def _status(node: NodeId, name: str) -> NodeStatus:
    return NodeStatus(
        node=node,
        boot=new_boot_id(),
        name=name,
        version=swarm.__version__,
        protocol=PROTOCOL_VERSION,
        state="ready",
        hardware="",
        instances=1,
        load=Load(),
    )


async def _serve(node: MemberNode, *, wait_for_go: bool) -> None:
    node.say("loaded")
    if wait_for_go:
        await asyncio.to_thread(sys.stdin.readline)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await node.serve(stop)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--no-mdns", action="store_true")
    parser.add_argument("--peer", action="append", default=[])
    parser.add_argument("--wait-for-go", action="store_true")
    options = parser.parse_args()
    options.data_dir.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Nobody reads any more: the test is over.
    node = MemberNode(options.data_dir, DiscoverySettings(mdns=not options.no_mdns, peers=tuple(options.peer)))
    asyncio.run(_serve(node, wait_for_go=options.wait_for_go))


if __name__ == "__main__":
    main()
