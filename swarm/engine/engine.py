"""The engine: keeps one worker running, and is a source of text."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace

from swarm.domain.errors import SwarmError, Unavailable
from swarm.domain.events import PeerCheck
from swarm.domain.generation import GenerationRequest, Prompt, TextDelta, TextScore
from swarm.domain.ids import NodeId
from swarm.domain.nodes import Progress
from swarm.engine.deltas import delta_of
from swarm.engine.model_choice import ModelChoice
from swarm.engine.model_source import FoldersOnly, ModelSource
from swarm.engine.other_nodes import OtherNodes
from swarm.engine.requests import Reply, Requests
from swarm.engine.settings import EngineSettings
from swarm.engine.state import EngineState
from swarm.engine.worker_process import WorkerProcess, start_worker
from swarm.ports.clock import Clock
from swarm.wire.worker_commands import Aside, CheckPeer, Command, LoadModel, MoveChain, Ping, Score, WeightsReady
from swarm.wire.worker_events import AsideReply, LoadFailed, NeedWeights, PeerChecked, Scored

logger = logging.getLogger(__name__)

PING_EVERY_S = 5.0
IMPORT_PATIENCE = 5
STEADY_S = 60.0
"""A worker that lived this long is started again without a longer pause."""


@dataclass(frozen=True, slots=True)
class EnginePlace:
    """Where this engine runs, and how others are called."""

    node: NodeId
    chain_host: str | None
    """This machine's address for the chain; None uses no chain."""
    identity_path: str
    hub_cache: str = ""
    """Where the hub's files are kept; empty: huggingface_hub's own choice."""


class Engine:
    """`run` keeps a worker alive until it is cancelled; `stream` answers while there is one that can."""

    def __init__(
        self,
        settings: EngineSettings,
        choice: ModelChoice,
        place: EnginePlace,
        clock: Clock,
        on_change: Callable[[EngineState], None],
        source: ModelSource | None = None,
    ) -> None:
        self._source = source or FoldersOnly()
        self._settings, self._choice, self._place, self._clock = settings, choice, place, clock
        self._on_change = on_change
        self._worker: WorkerProcess | None = None
        """While it can be asked."""
        self._process: WorkerProcess | None = None
        self._requests = Requests()
        self._others = OtherNodes()
        self._hear_check: Callable[[PeerCheck], None] = lambda _: None
        self._needs = asyncio.Queue[NeedWeights]()
        self._heard = 0.0
        self._switched = asyncio.Event()
        self.state = EngineState()

    @property
    def choice(self) -> ModelChoice:
        """As far as it is settled."""
        return self._choice

    @property
    def worker_pid(self) -> int | None:
        return self._worker.pid if self._worker else None

    def kill(self) -> None:
        """Ends the worker and what it started, now; also one that is already ending by itself."""
        if self._process:
            self._process.kill()

    def use(self, choice: ModelChoice) -> None:
        """Another model from now on: the worker is ended, with all that it answers, and the next one loads it."""
        self._choice = choice
        self._switched.set()
        self._become(EngineState())
        self.kill()

    # -- the worker's life --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        pause_s = self._settings.restart_min_s
        while True:
            started = self._clock.now()
            self._switched.clear()
            try:
                problem = await self._live()
            except OSError as error:  # no memory, no process or no file to be had now
                problem = f"The worker did not start: {error}"
            if self.state.state == "failed":
                logger.error("the model cannot be loaded", extra={"fields": {"problem": problem}})
                await self._switched.wait()
            if self._switched.is_set():
                continue
            if self._clock.now() - started > STEADY_S:
                pause_s = self._settings.restart_min_s
            self._become(self.state.crashed(f"{problem}; starting it again in {pause_s:g} s"))
            logger.error("the model worker ended", extra={"fields": {"problem": problem, "restart_in_s": pause_s}})
            await self._clock.sleep(pause_s)
            pause_s = min(2 * pause_s, self._settings.restart_max_s)

    async def _live(self) -> str:
        """One worker from start to end; says why it ended."""
        async with start_worker() as worker:
            self._worker = self._process = worker
            self._heard = self._clock.now()
            listening = [
                asyncio.create_task(self._listen(worker), name="engine: events"),
                asyncio.create_task(self._provide(worker), name="engine: weights"),
                asyncio.create_task(self._watch(worker), name="engine: pings"),
                asyncio.create_task(worker.wait(), name="engine: end of worker"),
            ]
            logging_stderr = asyncio.create_task(worker.log_stderr(), name="engine: worker's stderr")
            try:
                done, _ = await asyncio.wait(listening, return_when=asyncio.FIRST_COMPLETED)
                reasons = [task.exception() or task.result() for task in done]
                with contextlib.suppress(TimeoutError):  # its exit code says more than its closed pipe
                    await asyncio.wait_for(asyncio.shield(listening[-1]), 0.5)
                    reasons = [listening[-1].result()] if listening[0] in done else reasons
                return str(reasons[0]) if listening[1] in done else f"The worker stopped: {reasons[0]}"
            finally:
                self._worker = None
                for task in (*listening, logging_stderr):
                    task.cancel()
                await asyncio.gather(*listening, logging_stderr, return_exceptions=True)
                self._requests.fail_all()

    async def _provide(self, worker: WorkerProcess) -> str:
        """Finds the model, has it loaded, and brings what the worker misses of it; says why that cannot be done."""
        self._needs = asyncio.Queue()
        try:
            wanted = self._choice
            settled = await self._source.settle(wanted, self._tell)
        except SwarmError as error:
            return str(error)
        if self._choice is not wanted:
            return "another model is wanted"
        self._choice = settled
        worker.send(self._load_command())
        for command in self._others.greeting:
            worker.send(command)
        while True:
            need = await self._needs.get()
            try:
                await self._source.fill(self._choice, need.ranges, self._tell)
            except SwarmError as error:
                worker.send(WeightsReady(need.id, str(error)))
            else:
                worker.send(WeightsReady(need.id))

    def _tell(self, progress: Progress) -> None:
        if self.state.state != "ready":
            self._become(replace(self.state, progress=progress))

    def _load_command(self) -> LoadModel:
        settings = self._settings
        return LoadModel(
            path=self._choice.path,
            model_id=self._choice.id,
            blocks=settings.blocks,
            engine=settings.engine,
            slots=settings.slots,
            threads=settings.threads,
            chain_host=self._place.chain_host,
            chain_port=settings.chain_port,
            identity_path=self._place.identity_path,
            node=self._place.node,
            repair_s=settings.repair_s,
            digest=self._choice.digest,
            quantization=settings.quantization,
            hub_cache=self._place.hub_cache,
            memory_limit=settings.memory_limit,
        )

    async def _listen(self, worker: WorkerProcess) -> str:
        async with contextlib.aclosing(worker.events()) as events:
            async for event in events:
                self._heard = self._clock.now()
                if isinstance(event, Reply):
                    self._requests.deliver(event)
                    continue
                if isinstance(event, NeedWeights):
                    self._needs.put_nowait(event)
                    continue
                if isinstance(event, PeerChecked):
                    node = NodeId(event.node)
                    self._hear_check(PeerCheck(node, event.server, event.span, event.agrees, event.difference))
                    continue
                if not self._switched.is_set():  # Else it is of a model that is not wanted any more.
                    self._become(self.state.after(event, chain_only=self._settings.engine == "chain"))
                if isinstance(event, LoadFailed):
                    return event.message
        return "it closed its pipe"

    async def _watch(self, worker: WorkerProcess) -> str:
        while self._clock.now() - self._heard < self._silence_limit_s():
            worker.send(Ping())
            woken_at = self._clock.now() + PING_EVERY_S
            await self._clock.sleep(PING_EVERY_S)
            # This process was stopped, or the machine asleep: the worker is not to blame for that silence.
            self._heard += max(0.0, self._clock.now() - woken_at)
        worker.kill()
        return f"it was silent for {self._silence_limit_s():g} s"

    def _silence_limit_s(self) -> float:
        """Longer before its first word: it imports torch first, which takes minutes from a slow card."""
        return self._settings.silence_limit_s * (IMPORT_PATIENCE if self.state.state == "starting" else 1)

    def _become(self, state: EngineState) -> None:
        if state != self.state:
            self.state = state
            self._on_change(state)

    # -- the chain ----------------------------------------------------------------------------------------------------

    def introduce(self, addresses: Sequence[str]) -> None:
        """Nodes whose blocks may be used; kept for a worker that is started later."""
        self._send(self._others.introduce(addresses))

    def move_chain(self, host: str) -> None:
        """This machine is reached at another address now; the model stays loaded."""
        if self._place.chain_host in (None, host):
            return
        self._place = replace(self._place, chain_host=host)
        self._send(MoveChain(host))

    def forget(self, addresses: Sequence[str]) -> None:
        """Nodes that are gone."""
        self._send(self._others.forget(addresses))

    def suspect(self, addresses: Sequence[str]) -> None:
        """Nodes that missed a probe; until they are introduced again."""
        self._send(self._others.suspect(addresses))

    def avoid(self, servers: Sequence[str]) -> None:
        """Servers of the chain, by their libp2p ids, that no route may go through; kept for a worker started later."""
        self._send(self._others.avoid(servers))

    def _send(self, command: Command | None) -> None:
        if command is not None and self._worker:
            self._worker.send(command)

    def check_peer(self, prefer: Sequence[str], without: Sequence[str]) -> None:
        """Has a peer's blocks computed again, where the worker is idle; what is found goes to `hear_checks`."""
        if self.state.complete:
            self._send(CheckPeer(tuple(prefer), tuple(without)))

    def hear_checks(self, callback: Callable[[PeerCheck], None]) -> None:
        """It must neither wait nor raise."""
        self._hear_check = callback

    # -- answers ------------------------------------------------------------------------------------------------------

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[TextDelta, None]:
        """See `TextSource`. Closing it early stops the worker's answer within one token."""
        worker, model = self._ready_worker(), self.state.model
        named = (model.id, model.digest) if model else (self._choice.id, "")
        if request.resume and request.resume.model_digest != named[1]:
            raise Unavailable("This node serves another model than the one that began the answer")
        async with contextlib.aclosing(self._requests.stream(worker.send, request)) as pieces:
            async for piece in pieces:
                yield delta_of(piece, self._place.node, *named)

    async def score(self, prompt: Prompt, text: str) -> TextScore:
        """See `TextScorer`. A cancel stops the worker within one piece of the text."""
        reply = await self.ask(lambda number: Score(number, prompt, text))
        assert isinstance(reply, Scored)
        return TextScore(reply.mean_logprob, reply.tokens)

    async def ask(self, command: Callable[[str], Aside]) -> AsideReply:
        """One question with one reply, under a number of its own. Raises as `stream` does before its first delta."""
        return await self._requests.ask(self._ready_worker().send, command)

    def _ready_worker(self) -> WorkerProcess:
        """Raises `Unavailable`."""
        if self._worker is None or self.state.state != "ready":
            raise Unavailable(self.state.why_not())
        return self._worker
