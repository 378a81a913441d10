"""One end of the measurement of weights: `source`, `plain` or `fetch`, on a host of the LAN.

Both ends are the node's own API, shelf, store and client, without a model in memory.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import tempfile
import threading
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from swarm.api.server import ApiServer
from swarm.api.settings import ApiSettings
from swarm.domain.errors import Unavailable
from swarm.domain.ids import NodeId
from swarm.domain.nodes import Endpoint, ModelInfo, PeerInfo
from swarm.domain.weights import PIECE_BYTES, FileRange
from swarm.host.clock import SystemClock
from swarm.host.files import write_atomically
from swarm.peering.weights import WeightsClient
from swarm.weights.fetching import Surroundings
from swarm.weights.hashes import HashMemory
from swarm.weights.rate import RateLimit
from swarm.weights.settings import WeightsSettings
from swarm.weights.shelf import Shelf
from swarm.weights.sources import Excluded
from swarm.weights.store import WeightsStore
from tests.fakes.api_node import READY, FakeNode, peer

MODEL = ModelInfo("org/made-up", "digest1", 4, 128)
WEIGHTS = "model.safetensors"
API_PORT, PLAIN_PORT = 17615, 17616
BUFFER_BYTES = 2**20


class Liar(Shelf):
    """Sends the third piece and all that follow from a file in which each has one wrong byte."""

    def __init__(self, memory: HashMemory, limit: RateLimit, wrong: Path) -> None:
        super().__init__(memory, limit)
        self._wrong = wrong

    async def locate(self, digest: str, start: int, end: int) -> Path | None:
        path = await super().locate(digest, start, end)
        return self._wrong if path is not None and start >= 2 * PIECE_BYTES else path


def main() -> None:
    role, *arguments = sys.argv[1:]
    match role:
        case "source":
            asyncio.run(serve(Path(arguments[0]), arguments[1], arguments[2], arguments[3] == "True"))
        case "plain":
            print(json.dumps(receive(arguments[0])))
        case "fetch":
            print(json.dumps(asyncio.run(fetch(Path(arguments[0]), arguments[1] == "True", arguments[2:]))))


async def serve(folder: Path, address: str, name: str, lies: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-weights-") as own:
        memory, limit = HashMemory(Path(own), write_atomically), RateLimit(0, SystemClock())
        shelf = Liar(memory, limit, wrong_copy(folder, Path(own))) if lies else Shelf(memory, limit)
        shelf.put(MODEL, folder)
        threading.Thread(target=send_plainly, args=(folder / WEIGHTS, address), daemon=True).start()
        services = replace(FakeNode(status=replace(READY, node=NodeId(name))).services(), weights=shelf)
        async with ApiServer(services, ApiSettings(port=API_PORT), address), asyncio.TaskGroup() as tasks:
            tasks.create_task(shelf.run(), name="shelf")
            while not await is_ready(shelf):
                await asyncio.sleep(0.1)
            print("ready", flush=True)


async def is_ready(shelf: Shelf) -> bool:
    try:
        return await shelf.offer(MODEL.id) is not None
    except Unavailable:
        return False


def wrong_copy(folder: Path, own: Path) -> Path:
    data = bytearray((folder / WEIGHTS).read_bytes())
    for start in range(0, len(data), PIECE_BYTES):
        data[start] ^= 1
    wrong = own / "wrong"
    wrong.write_bytes(data)
    return wrong


def send_plainly(path: Path, address: str) -> None:
    with socket.create_server((address, PLAIN_PORT)) as listening:
        while True:
            connection, _ = listening.accept()
            with connection, path.open("rb") as file:
                connection.sendfile(file)


def receive(address: str) -> dict[str, float]:
    buffer, count, started = bytearray(BUFFER_BYTES), 0, time.monotonic()
    with socket.create_connection((address, PLAIN_PORT)) as connection:
        while received := connection.recv_into(buffer):
            count += received
    return rate(count, started)


async def fetch(target: Path, is_lied_to: bool, sources: list[str]) -> dict[str, float]:
    peers = tuple(source_named(*source.split("=")) for source in sources)
    excluded = Excluded()
    async with AsyncExitStack() as stack:
        link = await stack.enter_async_context(WeightsClient())
        limit = RateLimit(0, SystemClock())
        around = Surroundings(link, lambda: peers, SystemClock(), limit, excluded, 60.0, NodeId("newcomer"))
        memory = HashMemory(target / "hashes", write_atomically)
        store = WeightsStore(WeightsSettings(), target, around, Shelf(memory, limit), memory, write_atomically)
        started = time.monotonic()
        found = await store.find(MODEL.id, lambda _: None)
        assert found is not None
        size = os.stat(found.folder / WEIGHTS).st_size
        await store.fill(found.folder, [FileRange(WEIGHTS, 0, size)], lambda _: None)
        measured = rate(size, started)
        await store.keep()
    if is_lied_to and peers[0] not in excluded:
        raise RuntimeError("the liar was not found out")
    return measured


def source_named(name: str, address: str) -> PeerInfo:
    status = replace(READY, node=NodeId(name), model=MODEL)
    return peer(name, name, endpoint=Endpoint(address, API_PORT), status=status)


def rate(count: int, started: float) -> dict[str, float]:
    seconds = time.monotonic() - started
    return {"seconds": round(seconds, 3), "mib_s": round(count / seconds / 2**20, 2)}


if __name__ == "__main__":
    main()
