"""Worker processes of a chain on this machine, without daemons: commands down their stdin, events up their stdout."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import psutil

from swarm.domain.generation import Sampling
from swarm.domain.tokens import HopProbe
from swarm.engine.worker_process import WorkerProcess, start_worker
from swarm.wire.worker_commands import Generate, Introduce, LoadModel, Probe
from swarm.wire.worker_events import ChainChanged, Event, Generated, GenerationFailed, Loaded, LoadFailed, Probed

READY_S = 300.0
T = TypeVar("T", bound=Event)


@dataclass(slots=True)
class Answer:
    """Of one request: when it was asked for, and when each piece came (seconds of `time.perf_counter`)."""

    asked: float
    pieces: list[tuple[float, Generated]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(piece.text for _, piece in self.pieces)

    @property
    def tokens(self) -> int:
        return sum(piece.tokens for _, piece in self.pieces)

    @property
    def ended(self) -> float:
        return self.pieces[-1][0]

    def token_times(self) -> list[float]:
        """When each token was there; several that came in one piece have the same time."""
        return [at for at, piece in self.pieces for _ in range(piece.tokens)]


class Node:
    """A worker that has loaded. Built by `node`."""

    def __init__(self, worker: WorkerProcess) -> None:
        self.worker, self._streams = worker, dict[str, asyncio.Queue[Event]]()
        self._news: asyncio.Queue[Event] = asyncio.Queue()
        self._count = 0
        self.loaded: Loaded | None = None
        self.missing: bool | None = None

    @property
    def memory_bytes(self) -> dict[str, int]:
        """Resident, of the worker and of libp2p's daemon."""
        worker = psutil.Process(self.worker.pid)
        held = {"worker": worker.memory_info().rss}
        for child in worker.children(recursive=True):
            held[child.name()] = held.get(child.name(), 0) + child.memory_info().rss
        return held

    async def listen(self) -> None:
        """Until the worker ends."""
        async for event in self.worker.events():
            match event:
                case Generated(id=request) | GenerationFailed(id=request):
                    if request in self._streams:
                        self._streams[request].put_nowait(event)
                case ChainChanged(coverage):
                    self.missing = bool(coverage.missing)
                case _:
                    self._news.put_nowait(event)

    async def wait_for(self, kind: type[T]) -> T:
        """The next event of this kind. Raises `RuntimeError` where the model did not load."""
        async with asyncio.timeout(READY_S):
            while True:
                event = await self._news.get()
                if isinstance(event, LoadFailed):
                    raise RuntimeError(event.message)
                if isinstance(event, kind):
                    return event

    async def probe(self) -> tuple[HopProbe, ...]:
        """The route of one token after another, and what each hop took."""
        self._count += 1
        self.worker.send(Probe(f"p{self._count}"))
        return (await self.wait_for(Probed)).hops

    async def answer(self, prompt: str, tokens: int, *, temperature: float = 0.0, seed: int = 0) -> Answer:
        """All of an answer. Raises `RuntimeError` where it fails."""
        self._count += 1
        request = f"r{self._count}"
        queue = self._streams[request] = asyncio.Queue()
        answer = Answer(time.perf_counter())
        self.worker.send(Generate(request, prompt, Sampling(temperature, max_tokens=tokens, seed=seed)))
        try:
            while True:
                event = await queue.get()
                if isinstance(event, GenerationFailed):
                    raise RuntimeError(event.message)
                assert isinstance(event, Generated)
                answer.pieces.append((time.perf_counter(), event))
                if event.finish_reason:
                    return answer
        finally:
            del self._streams[request]


@contextlib.asynccontextmanager
async def node(
    model: Path,
    keys: Path,
    name: str,
    *,
    blocks: str = "all",
    engine: Literal["auto", "local", "chain"] = "chain",
    slots: int = 16,
    threads: int = 1,
    on_chain: bool = True,
) -> AsyncIterator[Node]:
    """A worker with `blocks` of `model` on loopback; it has loaded when the block is entered."""
    async with start_worker() as worker, asyncio.TaskGroup() as tasks:
        made = Node(worker)
        helpers = [tasks.create_task(made.listen()), tasks.create_task(worker.log_stderr())]
        try:
            host = "127.0.0.1" if on_chain else None
            key = str(keys / f"{name}.key")
            worker.send(
                LoadModel(
                    path=str(model),
                    model_id="bench",
                    blocks=blocks,
                    engine=engine,
                    slots=slots,
                    threads=threads,
                    chain_host=host,
                    chain_port=0,
                    identity_path=key,
                    node=name,
                )
            )
            while made.loaded is None or not made.loaded.complete:
                made.loaded = await made.wait_for(Loaded)
            yield made
        finally:
            for helper in helpers:
                helper.cancel()


async def join(nodes: Sequence[Node]) -> None:
    """Introduces all to the first; returns when each sees every block served."""
    assert nodes[0].loaded is not None
    for other in nodes[1:]:
        other.worker.send(Introduce(nodes[0].loaded.chain_addresses))
    await wait_until(lambda: all(node.missing is False for node in nodes))


async def wait_until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(READY_S):
        while not fact():
            await asyncio.sleep(0.02)


async def together(answers: Sequence[Awaitable[Answer]]) -> list[Answer]:
    return list(await asyncio.gather(*answers))
