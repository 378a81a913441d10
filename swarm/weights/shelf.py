"""What this node hands on: the model that it has loaded, and the pieces of one that it is still fetching."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from swarm.domain.errors import Unavailable
from swarm.domain.nodes import ModelInfo
from swarm.domain.weights import FilePieces, HeldPieces, WeightsOffer
from swarm.weights.folder import HashedFile, HashedFolder, hash_folder
from swarm.weights.hashes import HashMemory
from swarm.weights.partial import PartialModel
from swarm.weights.pieces import Bitmap, piece_count, pieces_within
from swarm.weights.rate import RateLimit

logger = logging.getLogger(__name__)

ASK_AGAIN_S = 1.0


class Shelf:
    """`ports.WeightsShelf`. Files are hashed when somebody asks for them first, by `run`."""

    def __init__(self, memory: HashMemory, limit: RateLimit) -> None:
        self._memory, self._limit = memory, limit
        self._partials: dict[Path, PartialModel] = {}
        self._model: ModelInfo | None = None
        self._folder: Path | None = None
        self._hashed: HashedFolder | None = None
        self._asked = asyncio.Event()
        self._fraction = 0.0

    def put(self, model: ModelInfo, folder: Path) -> None:
        """What the worker has loaded, from now on."""
        if (model, folder) != (self._model, self._folder):
            self._model, self._folder, self._hashed, self._fraction = model, folder, None, 0.0

    def put_partial(self, partial: PartialModel) -> None:
        self._partials[partial.folder] = partial

    async def run(self) -> None:
        """Never returns."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            model, folder = self._model, self._folder
            if model is None or folder is None or self._hashed is not None:
                continue
            try:
                hashed = await asyncio.to_thread(hash_folder, folder, model, self._memory, self._tell)
            except OSError as error:
                fields = {"folder": str(folder), "problem": error.strerror or type(error).__name__}
                logger.warning("the model's files cannot be handed on", extra={"fields": fields})
                continue
            if (model, folder) == (self._model, self._folder):
                self._hashed = hashed
                counts = {"model": model.id, "files": len(hashed.files)}
                logger.info("the model's files can be handed on", extra={"fields": counts})

    def _tell(self, fraction: float) -> None:
        self._fraction = fraction

    async def offer(self, model_id: str) -> WeightsOffer | None:
        for partial in self._partials.values():
            if partial.offer.model_id == model_id:
                return partial.offer
        if self._model is None or self._model.id != model_id:
            return None
        if self._hashed is None:
            self._asked.set()
            message = f"This node is reading its copy of {model_id} first: {self._fraction:.0%} done."
            raise Unavailable(message, retry_after_s=ASK_AGAIN_S)
        return self._hashed.offer

    async def pieces(self, digest: str) -> FilePieces | None:
        if (file := self._file(digest)) is not None:
            return file.pieces
        partial = self._partial_with(digest)
        return partial.pieces(digest) if partial else None

    async def held(self, digest: str) -> HeldPieces | None:
        if (file := self._file(digest)) is not None:
            return HeldPieces(Bitmap.full(piece_count(file.pieces.size)).to_hex())
        partial = self._partial_with(digest)
        return HeldPieces(partial.held(digest).to_hex()) if partial else None

    async def locate(self, digest: str, start: int, end: int) -> Path | None:
        path = await self._path(digest, start, end)
        if path is not None:
            await self._limit.wait_for(end - start)
        return path

    async def _path(self, digest: str, start: int, end: int) -> Path | None:
        if (file := self._file(digest)) is not None:
            if not await asyncio.to_thread(file.is_unchanged):
                self._hashed = None
                return None
            return file.path if end <= file.pieces.size else None
        partial = self._partial_with(digest)
        if partial is None or end > partial.files[digest].size:
            return None
        held = partial.held(digest)
        return partial.path_of(digest) if all(index in held for index in pieces_within(start, end)) else None

    def _file(self, digest: str) -> HashedFile | None:
        return self._hashed.files.get(digest) if self._hashed else None

    def _partial_with(self, digest: str) -> PartialModel | None:
        return next((partial for partial in self._partials.values() if digest in partial.files), None)
