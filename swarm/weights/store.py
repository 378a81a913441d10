"""Gets models from other nodes: as much as opening them needs at first, and then what the worker asks for."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from swarm.domain.errors import BackendError, PeerError, Unavailable
from swarm.domain.ids import NodeId
from swarm.domain.nodes import PeerInfo, Progress
from swarm.domain.weights import FileRange, OfferedFile, WeightsOffer
from swarm.weights.fetching import Fetching, Surroundings, Tell
from swarm.weights.hashes import HashMemory, Write
from swarm.weights.hub_cache import partial_folder, taken_bytes
from swarm.weights.notes import begun_offers
from swarm.weights.offers import check_offer, choose_offer, content_digest, is_weights
from swarm.weights.partial import PartialModel
from swarm.weights.pieces import piece_bounds, piece_count, pieces_within
from swarm.weights.schedule import Piece
from swarm.weights.search import next_step
from swarm.weights.settings import WeightsSettings
from swarm.weights.shelf import Shelf

logger = logging.getLogger(__name__)

ASK_EVERY_S = 0.5
KEEP_EVERY_S = 2.0
"""How soon fetched pieces are forced to the disk; until then they survive this process, not a power cut."""
MOST_ASKED = 64
HEADER_LIMIT_BYTES = 100 * 2**20
"""What safetensors itself allows."""


@dataclass(frozen=True, slots=True)
class FoundModel:
    folder: Path
    digest: str
    """`ModelInfo.digest`, which cannot be made from files with holes."""


class WeightsStore:
    """One a node. `wanted` is what it looks for now, as others are told."""

    def __init__(
        self,
        settings: WeightsSettings,
        cache: Path,
        around: Surroundings,
        shelf: Shelf,
        memory: HashMemory,
        write: Write,
    ) -> None:
        self._settings, self._cache, self._around, self._shelf = settings, cache, around, shelf
        self._memory, self._write = memory, write
        self._open: dict[Path, PartialModel] = {}
        self.wanted = ""

    async def find(self, model_id: str, tell: Tell, *, asks_hub: bool = True) -> FoundModel | None:
        """With the settings, the tokenizer and the headers of the weights; None where no other node has it or gets it.

        `asks_hub`: this node then asks the hub, and others that lack the model may wait for it.

        Waits while other nodes may soon have it. Raises `PeerError`, and `BackendError` where the disk refuses."""
        if not self._settings.fetch:
            return None
        self.wanted = model_id if asks_hub else ""
        offer = await self._look_for(model_id, tell, asks_hub) or await asyncio.to_thread(self._begun, model_id)
        return await self._begin(offer, tell) if offer else None

    async def fill(self, folder: Path, ranges: Iterable[FileRange], tell: Tell) -> None:
        """Gets what of these bytes is not here yet. Raises as `find` does."""
        model = self._open[folder]
        pieces = [
            Piece(file.digest, index)
            for wanted in ranges
            if (file := model.file_named(wanted.file))
            for index in pieces_within(wanted.start, wanted.end)
        ]
        await self._fetch(model, pieces, tell)

    async def run(self) -> None:
        """Makes what was fetched last, while nobody waits for it. Never returns."""
        while True:
            await self._around.clock.sleep(KEEP_EVERY_S)
            try:
                await self.keep()
            except BackendError as error:
                logger.warning("fetched weights were not kept", extra={"fields": {"problem": str(error)}})

    async def keep(self) -> None:
        """Waits for the disk. Raises `BackendError`."""
        for model in tuple(self._open.values()):
            await asyncio.to_thread(model.keep)

    def found(self) -> None:
        """The model is here, wherever it came from."""
        self.wanted = ""

    # -- who has it ---------------------------------------------------------------------------------------------------

    async def _look_for(self, model_id: str, tell: Tell, asks_hub: bool) -> WeightsOffer | None:
        clock = self._around.clock
        since = clock.now()
        while True:
            peers = self._alive()
            offers = await self._offers(peers, model_id, tell)
            if offers:
                return self._choose(offers, peers, model_id)
            looked_s = clock.now() - since
            own = self._around.node if asks_hub else None
            step, node = next_step(model_id, own, self._around.peers(), looked_s, self._settings.look_s)
            if step == "hub":
                return None
            waits_for = f"node {node}" if node else "a node that has it"
            tell(Progress(f"looking for {model_id}: waiting for {waits_for}"))
            await clock.sleep(ASK_EVERY_S)

    def _alive(self) -> list[PeerInfo]:
        alive = [peer for peer in self._around.peers() if peer.standing == "alive"]
        return [peer for peer in alive if peer not in self._around.excluded][:MOST_ASKED]

    async def _offers(self, peers: Sequence[PeerInfo], model_id: str, tell: Tell) -> dict[NodeId, WeightsOffer]:
        """Of all who have it. Waits for those that still read their copies."""
        while True:
            answers = await asyncio.gather(*(self._offer(peer, model_id) for peer in peers))
            reading = next((answer for answer in answers if isinstance(answer, Unavailable)), None)
            given = {
                peer.node: answer
                for peer, answer in zip(peers, answers, strict=True)
                if isinstance(answer, WeightsOffer)
            }
            if given or reading is None:
                return given
            tell(Progress(f"looking for {model_id}: {reading}"))
            await self._around.clock.sleep(ASK_EVERY_S)

    async def _offer(self, peer: PeerInfo, model_id: str) -> WeightsOffer | Unavailable | None:
        try:
            offer = await self._around.link.offer(peer, model_id)
            return check_offer(offer, model_id) if offer else None
        except Unavailable as error:
            return error
        except PeerError as error:
            logger.debug("a node gave no offer", extra={"fields": {"node": peer.node, "problem": str(error)}})
            return None

    def _choose(self, offers: dict[NodeId, WeightsOffer], peers: Sequence[PeerInfo], model_id: str) -> WeightsOffer:
        served = [peer.status.model.weights_digest for peer in peers if peer.status and peer.status.model]
        choice = choose_offer(offers, served)
        if choice.others:
            fields = {"model": model_id, "taken": choice.offer.model_digest, "others": list(choice.others)}
            logger.warning("nodes offer different weights under one name; most nodes decide", extra={"fields": fields})
        return choice.offer

    def _begun(self, model_id: str) -> WeightsOffer | None:
        """What an earlier run began to fetch, as far as that can be opened."""
        for offer in begun_offers(self._cache, model_id):
            model = self._partial(offer)
            model.open()
            if all(model.pieces(file.digest) and not self._missing(model, _opening(file)) for file in offer.files):
                return offer
        return None

    # -- what is fetched ----------------------------------------------------------------------------------------------

    async def _begin(self, offer: WeightsOffer, tell: Tell) -> FoundModel:
        model = self._partial(offer)
        if model.folder not in self._open:
            await asyncio.to_thread(model.open)
            self._open[model.folder] = model
        await self._learn_pieces(model)
        self._shelf.put_partial(model)
        await self._fetch(model, [piece for file in offer.files for piece in _opening(file)], tell)
        headers = [piece for file in offer.files if is_weights(file.name) for piece in await _header(model, file)]
        await self._fetch(model, headers, tell)
        return FoundModel(model.folder, offer.model_digest)

    def _partial(self, offer: WeightsOffer) -> PartialModel:
        content = content_digest(offer)
        opened = self._open.get(partial_folder(self._cache, offer.model_id, content) / "files")
        return opened or PartialModel(self._cache, offer, content, self._memory, self._write)

    async def _learn_pieces(self, model: PartialModel) -> None:
        """The hashes of all files, from whoever offers them; the digest of each file proves them."""
        for digest, file in model.files.items():
            if model.pieces(digest) is None and not await self._learn_from_any(model, digest):
                raise PeerError(f"No node gave the hashes of {file.name} of {model.offer.model_id}.")
        await asyncio.to_thread(model.note_hashes)

    async def _learn_from_any(self, model: PartialModel, digest: str) -> bool:
        for peer in self._alive():
            try:
                model.learn(digest, await self._around.link.pieces(peer, digest))
            except (PeerError, Unavailable):
                continue
            return True
        return False

    async def _fetch(self, model: PartialModel, pieces: Iterable[Piece], tell: Tell) -> None:
        missing = self._missing(model, pieces)
        await asyncio.to_thread(self._check_disk, model, missing)
        await Fetching(model, missing, self._around, tell).run()

    def _missing(self, model: PartialModel, pieces: Iterable[Piece]) -> list[Piece]:
        return [piece for piece in dict.fromkeys(pieces) if piece.index not in model.held(piece.file)]

    def _check_disk(self, model: PartialModel, missing: Sequence[Piece]) -> None:
        if not missing:
            return
        bounds = (piece_bounds(piece.index, model.files[piece.file].size) for piece in missing)
        needed = sum(end - start for start, end in bounds)
        free = shutil.disk_usage(model.folder).free
        if needed > free:
            raise BackendError(
                f"{model.offer.model_id} needs {_gib(needed)} more on the disk of {model.folder}, where {_gib(free)} "
                "are free; free some space, or set engine.hub_cache to a folder elsewhere."
            )
        limit = int(self._settings.disk_limit_gib * 2**30)
        if limit and taken_bytes(self._cache) + needed > limit:
            raise BackendError(
                f"{model.offer.model_id} needs {_gib(needed)} more, and fetched weights may take {_gib(limit)} in all; "
                "raise weights.disk_limit_gib, or remove models from the cache."
            )


def _opening(file: OfferedFile) -> list[Piece]:
    """What opening a checkpoint reads of a file: all of it, and of weights the beginning."""
    return [Piece(file.digest, index) for index in range(1 if is_weights(file.name) else piece_count(file.size))]


async def _header(model: PartialModel, file: OfferedFile) -> list[Piece]:
    """The pieces that hold the header; the first of them is here."""
    path = model.path_of(file.digest)
    length = await asyncio.to_thread(_header_bytes, path)
    if not 0 < length <= min(file.size, HEADER_LIMIT_BYTES):
        raise PeerError(f"{file.name} of {model.offer.model_id} is no safetensors file.")
    return [Piece(file.digest, index) for index in pieces_within(0, length)]


def _header_bytes(path: Path) -> int:
    with path.open("rb") as opened:
        return 8 + int.from_bytes(opened.read(8), "little")


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
