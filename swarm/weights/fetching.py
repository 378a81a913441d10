"""Pieces of one model from several sources at once, until all that is needed is here."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from swarm.domain.errors import PeerError, Unavailable
from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import PeerInfo, Progress
from swarm.ports.clock import Clock
from swarm.ports.weights import WeightsLink
from swarm.weights.partial import CorruptPiece, PartialModel
from swarm.weights.pieces import Bitmap, piece_bounds, piece_count
from swarm.weights.rate import RateLimit
from swarm.weights.schedule import Piece, Schedule
from swarm.weights.sources import Excluded, Source

logger = logging.getLogger(__name__)

LANES = 2
"""Pieces on their way from one source at the same time: one travels while the other is hashed and written."""
LOOK_EVERY_S = 0.5
LEARN_EVERY_S = 1.0
"""What a source holds that is still fetching itself, or that had nothing yet."""
IDLE_S = 0.05
NOTE_EVERY_S = 2.0
MOST_SOURCES = 16

Tell = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What fetching asks of the rest of the node."""

    link: WeightsLink
    peers: Callable[[], tuple[PeerInfo, ...]]
    clock: Clock
    limit: RateLimit
    excluded: Excluded
    patience_s: float
    node: NodeId


class Fetching:
    """One run; `run` returns when all of `needed` is here. A cancel keeps what came so far."""

    def __init__(self, model: PartialModel, needed: Sequence[Piece], around: Surroundings, tell: Tell) -> None:
        self._model, self._around, self._tell = model, around, tell
        self._needed = needed
        self._schedule = Schedule(needed, first_piece(around.node))
        self._sources: dict[tuple[NodeId, BootId], Source] = {}
        self._tasks: dict[tuple[NodeId, BootId], asyncio.Task[None]] = {}
        self._done_bytes = 0
        self._total_bytes = sum(map(self._size, needed))
        self._started_at = self._came_at = around.clock.now()
        self._is_finished = asyncio.Event()

    async def run(self) -> None:
        """Raises `PeerError` where nothing comes for `patience_s`, and `BackendError` where the disk refuses."""
        if not self._needed:
            return
        fields = {"model": self._model.offer.model_id, "pieces": len(self._needed), "bytes": self._total_bytes}
        logger.info("weights are fetched from other nodes", extra={"fields": fields})
        try:
            async with asyncio.TaskGroup() as tasks:
                around = [
                    tasks.create_task(self._look(tasks), name="weights: sources"),
                    tasks.create_task(self._note(), name="weights: notes"),
                ]
                await self._is_finished.wait()
                for task in (*around, *self._tasks.values()):
                    task.cancel()
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
        finally:
            await asyncio.to_thread(self._model.note)
        self._report()

    async def _look(self, tasks: asyncio.TaskGroup) -> None:
        """Begins with whoever comes, ends with whoever goes."""
        clock = self._around.clock
        while True:
            usable = {(peer.node, peer.boot): peer for peer in self._candidates()}
            for gone in self._tasks.keys() - usable.keys():
                self._tasks.pop(gone).cancel()
            for key, peer in usable.items():
                if key not in self._tasks:
                    self._tasks[key] = tasks.create_task(self._use(peer), name=f"weights: from {peer.node}")
            self._tell(self._progress())
            if clock.now() - self._came_at > self._around.patience_s:
                raise PeerError(self._what_is_missing())
            await clock.sleep(LOOK_EVERY_S)

    def _candidates(self) -> list[PeerInfo]:
        """Those that serve the model first: in a large swarm not everybody can be asked."""
        known = [
            peer for peer in self._around.peers() if peer.standing == "alive" and peer not in self._around.excluded
        ]
        return sorted(known, key=self._is_stranger)[:MOST_SOURCES]

    def _is_stranger(self, peer: PeerInfo) -> bool:
        model = peer.status.model if peer.status else None
        return model is None or model.weights_digest != self._model.offer.model_digest

    async def _note(self) -> None:
        while True:
            await self._around.clock.sleep(NOTE_EVERY_S)
            await asyncio.to_thread(self._model.note)

    # -- one source ---------------------------------------------------------------------------------------------------

    async def _use(self, peer: PeerInfo) -> None:
        source = self._sources[peer.node, peer.boot] = Source(peer, {})
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._learn(source), name=f"weights: what {peer.node} holds")
            for number in range(LANES):
                tasks.create_task(self._lane(source), name=f"weights: lane {number} of {peer.node}")

    async def _learn(self, source: Source) -> None:
        """Keeps up with what the source holds until that is all."""
        while not source.held or source.is_growing:
            with contextlib.suppress(PeerError, Unavailable, ValueError):
                source.held = await self._holdings(source.peer)
            await self._around.clock.sleep(LEARN_EVERY_S)

    async def _holdings(self, peer: PeerInfo) -> dict[str, Bitmap]:
        link, wanted = self._around.link, {piece.file for piece in self._needed}
        offer = await link.offer(peer, self._model.offer.model_id)
        shared = [file for file in offer.files if file.digest in wanted] if offer else []
        return {
            file.digest: Bitmap.from_hex(
                piece_count(self._model.files[file.digest].size), (await link.held(peer, file.digest)).bitmap
            )
            for file in shared
        }

    async def _lane(self, source: Source) -> None:
        clock = self._around.clock
        while True:
            if source.peer in self._around.excluded:
                return
            now = clock.now()
            piece = self._schedule.take(source.node, source.holds, now) if now >= source.not_before else None
            if piece is None:
                await clock.sleep(IDLE_S)
                continue
            try:
                await self._bring(piece, source)
            except CorruptPiece as error:
                self._exclude(source, error)
            except (PeerError, Unavailable) as error:
                source.failed(clock.now())
                fields = {"node": source.node, "problem": str(error)}
                logger.info("a piece of the weights did not come; another source is asked", extra={"fields": fields})
            finally:
                self._schedule.give_back(piece, source.node)
            if self._schedule.is_done:
                self._is_finished.set()

    async def _bring(self, piece: Piece, source: Source) -> None:
        start, end = piece_bounds(piece.index, self._model.files[piece.file].size)
        await self._around.limit.wait_for(end - start)
        data = await self._around.link.read(source.peer, piece.file, start, end - start)
        await asyncio.to_thread(self._model.write_piece, piece.file, piece.index, data)
        source.delivered(len(data))
        if self._schedule.done(piece):
            self._done_bytes += len(data)
            self._came_at = self._around.clock.now()

    def _exclude(self, source: Source, error: CorruptPiece) -> None:
        if source.peer in self._around.excluded:
            return
        self._around.excluded.add(source.peer)
        source.held.clear()
        fields = {"node": source.node, "address": str(source.peer.endpoint), "problem": str(error)}
        logger.error("a node sent false weights; nothing more is fetched from it", extra={"fields": fields})

    # -- what is told -------------------------------------------------------------------------------------------------

    def _size(self, piece: Piece) -> int:
        start, end = piece_bounds(piece.index, self._model.files[piece.file].size)
        return end - start

    def _progress(self) -> Progress:
        seconds = max(self._around.clock.now() - self._started_at, 1e-3)
        using = sum(source.received_bytes > 0 for source in self._sources.values())
        what = (
            f"fetching {self._model.offer.model_id}: {_mib(self._done_bytes)} of {_mib(self._total_bytes)} MiB, "
            f"{_mib(self._done_bytes / seconds)} MiB/s from {using} node{'' if using == 1 else 's'}"
        )
        return Progress(what, self._done_bytes / self._total_bytes)

    def _report(self) -> None:
        seconds = max(self._around.clock.now() - self._started_at, 1e-3)
        fields = {
            "model": self._model.offer.model_id,
            "bytes": self._done_bytes,
            "seconds": round(seconds, 2),
            "mib_s": round(self._done_bytes / seconds / 2**20, 1),
            "sources": {source.node: source.received_bytes for source in self._sources.values()},
        }
        logger.info("weights were fetched", extra={"fields": fields})

    def _what_is_missing(self) -> str:
        files = sorted({self._model.files[piece.file].name for piece in self._needed})
        return (
            f"No node gave the missing pieces of {self._model.offer.model_id} for {self._around.patience_s:g} s "
            f"({', '.join(files[:3])}); start a node that has the whole model, or name its folder with --model."
        )


def first_piece(node: NodeId) -> int:
    """Where a node begins, by its id: nodes that fetch at the same time soon have something to give each other."""
    return int.from_bytes(hashlib.sha256(node.encode()).digest()[:4], "big")


def _mib(count: float) -> str:
    return f"{count / 2**20:.0f}"


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Of a nest of groups, what really went wrong."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
