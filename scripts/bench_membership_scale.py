"""Membership at 10, 100 and 1,000 peers on a network in memory: what a node pays, and how soon all know of a change.

    python scripts/bench_membership_scale.py [--peers 10 100 1000]

Every node is a real `Membership`; time is simulated, so that waiting costs nothing. Probes carry real bytes through the
real codec. Bytes are those of the messages and their HTTP heads as aiohttp writes them, sent and received, asked and
answered; the processor time is this process's, for codec and membership, without HTTP itself (0.7 ms a probe measured
on two sides together, which adds 1.4 % of a core where a node probes and is probed ten times a second).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import logging
import selectors
import time
from base64 import b32encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace

import psutil

from swarm.domain.errors import PeerError
from swarm.domain.events import MembershipEvent, PeerJoined, PeerLeft
from swarm.domain.federation import PeerVote
from swarm.domain.generation import GenerationRequest
from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Advert, BlockSpan, Endpoint, Load, ModelInfo, NodeStatus, PeerInfo
from swarm.membership.settings import MembershipSettings
from swarm.membership.shell import Membership
from swarm.ports.peer_link import PeerRefused
from swarm.ports.text_source import TextSource
from swarm.wire.codec import pack, unpack

LATENCY_S = 0.002
"""Of a probe, there and back."""
REQUEST_HEAD_BYTES = 160
REPLY_HEAD_BYTES = 216
"""As counted on the wire of a real probe."""
STEADY_S = 20.0
LIMIT_S = 120.0


class LeapingLoop(asyncio.SelectorEventLoop):
    """Its time is the simulation's: where it would wait, it leaps."""

    def __init__(self) -> None:
        self._leaping = LeapingSelector()
        super().__init__(self._leaping)

    def time(self) -> float:
        return self._leaping.now


class LeapingSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0.0
        return super().select(0)


class LoopClock:
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        return 1_800_000_000.0 + self.now()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass
class Network:
    """Who is where; a node in `silent` takes connections and never answers."""

    nodes: dict[Endpoint, Node] = field(default_factory=dict)
    homes: dict[NodeId, str] = field(default_factory=dict)
    """Where connections of each come from."""
    silent: set[Endpoint] = field(default_factory=set)
    is_counted: bool = False
    bytes: int = 0
    probes: int = 0

    async def probe(self, endpoint: Endpoint, timeout_s: float) -> NodeStatus:
        await asyncio.sleep(LATENCY_S)
        if endpoint in self.silent:
            await asyncio.sleep(timeout_s - LATENCY_S)
            raise PeerError(f"{endpoint} did not answer in time.")
        if endpoint not in self.nodes:
            raise PeerRefused(f"{endpoint} refuses connections.")
        status = self.nodes[endpoint].told()
        return self._carried(status) if self.is_counted else status

    def _carried(self, status: NodeStatus) -> NodeStatus:
        body = pack(status)
        self.probes += 1
        self.bytes += 2 * (REQUEST_HEAD_BYTES + REPLY_HEAD_BYTES + len(body))  # The asker's and the answerer's.
        return unpack(NodeStatus, body)

    async def peers_of(self, endpoint: Endpoint, timeout_s: float) -> tuple[PeerInfo, ...]:
        await asyncio.sleep(min(LATENCY_S, timeout_s))
        if endpoint not in self.nodes:
            raise PeerRefused(f"{endpoint} refuses connections.")
        peers = self.nodes[endpoint].membership.peers()
        if self.is_counted:
            self.bytes += 2 * (REQUEST_HEAD_BYTES + REPLY_HEAD_BYTES + sum(len(pack(peer)) for peer in peers))
        return peers

    async def hello(self, endpoint: Endpoint, status: NodeStatus, port: int) -> None:
        if endpoint in self.nodes and endpoint not in self.silent:
            home = self.homes[status.node]
            self.nodes[endpoint].membership.said_hello(status.node, status.boot, Endpoint(home, port))

    async def goodbye(self, endpoint: Endpoint, status: NodeStatus) -> None:
        """Nobody leaves politely here."""

    async def request_vote(self, peer: PeerInfo, request: GenerationRequest, timeout_s: float) -> tuple[PeerVote, ...]:
        raise NotImplementedError

    def source(self, peer: PeerInfo) -> TextSource:
        raise NotImplementedError


class Node:
    def __init__(self, place: int, network: Network) -> None:
        self.endpoint = Endpoint(f"10.0.{place // 250}.{1 + place % 250}", 17615)
        self.status = status_of(place)
        self.membership = Membership(
            lambda: self.status, network, LoopClock(), MembershipSettings(), lambda: (self.endpoint,)
        )
        self._running: asyncio.Task[None] | None = None
        network.nodes[self.endpoint] = self
        network.homes[self.status.node] = self.endpoint.host

    def told(self) -> NodeStatus:
        return replace(self.status, news=self.membership.news())

    def start(self, tasks: asyncio.TaskGroup) -> None:
        self._running = tasks.create_task(self.membership.run())

    def stop(self) -> None:
        if self._running:
            self._running.cancel()

    @property
    def advert(self) -> Advert:
        return Advert(self.status.node, self.status.boot, (self.endpoint,))


def status_of(place: int) -> NodeStatus:
    """As long as a real one."""
    digest = hashlib.sha256(str(place).encode())
    node = NodeId(b32encode(digest.digest()[:20]).decode().lower())
    return NodeStatus(
        node=node,
        boot=BootId(digest.hexdigest()[:16]),
        name=f"machine-{place}",
        version="0.1.0",
        protocol=1,
        state="ready",
        hardware="8 cores, 16 GB, NVIDIA GeForce RTX 3060",
        instances=1,
        load=Load(slots=4, queue_limit=32),
        model=ModelInfo("Qwen/Qwen3-0.6B", digest.hexdigest(), 28, 40960, 1_745_000_000),
        blocks=BlockSpan(0, 28),
        whole=True,
        chain_addresses=(f"/ip4/10.0.0.1/tcp/17617/p2p/Qm{digest.hexdigest()[:44]}",),
        requests=1234,
        tokens=123456,
        tokens_per_s=41.7,
    )


class Watch:
    """When each of the nodes has heard of an event."""

    def __init__(self, nodes: list[Node], kind: type[PeerJoined] | type[PeerLeft], node: NodeId) -> None:
        self._kind, self._node = kind, node
        self._missing = len(nodes)
        self._started_at = asyncio.get_running_loop().time()
        self._all_know: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        for watcher in nodes:
            watcher.membership.subscribe(self._hear)

    def _hear(self, event: MembershipEvent) -> None:
        if isinstance(event, self._kind) and event.peer.node == self._node:
            self._missing -= 1
            if not self._missing:
                self._all_know.set_result(asyncio.get_running_loop().time() - self._started_at)

    async def seconds(self) -> str:
        with suppress(TimeoutError):
            async with asyncio.timeout(LIMIT_S):
                return f"{await self._all_know:.1f} s"
        return f"not all ({self._missing} missing)"


@asynccontextmanager
async def settled_swarm(count: int, network: Network) -> AsyncIterator[tuple[list[Node], asyncio.TaskGroup]]:
    """All have met all, as by multicast, and what they told each other of it is old."""
    nodes = [Node(place, network) for place in range(count)]
    async with asyncio.TaskGroup() as tasks:
        for node in nodes:
            node.start(tasks)
        while not all(len(node.membership.peers()) == count - 1 for node in nodes):
            for node in nodes:
                announce(node, nodes)
            await asyncio.sleep(0.5)
        await asyncio.sleep(31.0)
        yield nodes, tasks
        for node in nodes:
            node.stop()


def announce(newcomer: Node, nodes: list[Node]) -> None:
    for node in nodes:
        if node is not newcomer:
            node.membership.heard_of(newcomer.advert)


@contextmanager
def counted(network: Network) -> Iterator[None]:
    network.is_counted, network.bytes, network.probes = True, 0, 0
    try:
        yield
    finally:
        network.is_counted = False


def resident_bytes() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


async def measure(count: int) -> str:
    network = Network()
    before = resident_bytes()
    async with settled_swarm(count, network) as (nodes, tasks):
        kib_a_peer = (resident_bytes() - before) / count / (count - 1) / 1024
        with counted(network):
            began, processor = asyncio.get_running_loop().time(), time.process_time()
            await asyncio.sleep(STEADY_S)
            seconds = asyncio.get_running_loop().time() - began
            share = 100 * (time.process_time() - processor) / seconds / count
            kib_a_second, probes = network.bytes / seconds / count / 1024, network.probes / seconds / count
        joined = await join(count, nodes, network, tasks)
        killed = await lose(nodes, nodes.pop(0), lambda node: network.nodes.pop(node.endpoint))
        silenced = await lose(nodes, nodes.pop(0), lambda node: network.silent.add(node.endpoint))
    cells = [f"{count:,}", f"{probes:.1f}", f"{share:.2f} %", f"{kib_a_second:.1f} KiB/s", f"{kib_a_peer:.1f} KiB"]
    return f"| {' | '.join([*cells, joined, killed, silenced])} |"


async def join(count: int, nodes: list[Node], network: Network, tasks: asyncio.TaskGroup) -> str:
    """Of one that knows a single address, without multicast; it greets that one, and the word goes round."""
    newcomer = Node(count, network)
    watch = Watch(nodes, PeerJoined, newcomer.status.node)
    newcomer.membership.add_static([nodes[0].endpoint])
    newcomer.start(tasks)
    taken = await watch.seconds()
    nodes.append(newcomer)
    return taken


async def lose(nodes: list[Node], lost: Node, cut: Callable[[Node], object]) -> str:
    watch = Watch(nodes, PeerLeft, lost.status.node)
    lost.stop()
    cut(lost)
    return await watch.seconds()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peers", type=int, nargs="+", default=[10, 100, 1000], help="how many nodes")
    logging.disable()
    print(
        "| nodes | probes/s a node | core a node | traffic a node | memory a peer | all know: join | kill | silence |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for count in parser.parse_args().peers:
        with asyncio.Runner(loop_factory=LeapingLoop) as runner:
            print(runner.run(measure(count)), flush=True)


if __name__ == "__main__":
    main()
