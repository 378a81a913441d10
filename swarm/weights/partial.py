"""A model that is being fetched: sparse files of full size, and which of their pieces are here. All methods block."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from swarm.domain.errors import BackendError, PeerError
from swarm.domain.weights import FilePieces, OfferedFile, WeightsOffer
from swarm.weights import hub_cache
from swarm.weights.hashes import HashMemory, Write
from swarm.weights.pieces import Bitmap, check_pieces, hash_of, hash_piece, piece_bounds, piece_count

logger = logging.getLogger(__name__)

OFFER, PIECES, HELD = "offer.json", "pieces.json", "held.json"


class CorruptPiece(PeerError):
    """The bytes are not those that the hash promised."""


class PartialModel:
    """Safe from several threads. Nothing is told to be here before it has been checked and has reached the disk."""

    def __init__(self, cache: Path, offer: WeightsOffer, content: str, memory: HashMemory, write: Write) -> None:
        self._cache, self.offer, self._memory, self._write = cache, offer, memory, write
        self._folder = hub_cache.partial_folder(cache, offer.model_id, content)
        self.files: Mapping[str, OfferedFile] = {file.digest: file for file in offer.files}
        self._by_name = {file.name: file for file in offer.files}
        self._pieces: dict[str, FilePieces] = {}
        self._held: dict[str, Bitmap] = {}
        self._saved: set[str] = set()
        """Digests of files whose bitmap on disk is the one in memory."""
        self._lock = threading.Lock()

    @property
    def folder(self) -> Path:
        """Opened by the worker; looks like a whole checkpoint."""
        return self._folder / "files"

    def path_of(self, digest: str) -> Path:
        return self.folder / self.files[digest].name

    def open(self) -> None:
        """Makes the files, or takes up what an earlier run left. Raises `BackendError` where the disk refuses."""
        with _as_backend_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write(self._folder / OFFER, json.dumps(asdict(self.offer)).encode())
            hashes, held = _read_json(self._folder / PIECES), _read_json(self._folder / HELD)
            for digest, file in self.files.items():
                self._take_up(file, hashes.get(digest), held.get(digest))

    def _take_up(self, file: OfferedFile, hashes: object, held: object) -> None:
        with contextlib.suppress(PeerError):
            if isinstance(hashes, str):
                self.learn(file.digest, FilePieces(file.size, hashes))
        bitmap = Bitmap(piece_count(file.size))
        path = self.folder / file.name
        with contextlib.suppress(ValueError, OSError):
            # A file that is missing or of another size holds nothing, whatever was noted.
            if isinstance(held, str) and path.stat().st_size == file.size and file.digest in self._pieces:
                bitmap = Bitmap.from_hex(piece_count(file.size), held)
        with path.open("ab") as opened:
            opened.truncate(file.size)
        self._held[file.digest] = bitmap
        self._saved.add(file.digest)

    def learn(self, digest: str, pieces: FilePieces) -> None:
        """Raises `PeerError` where these are not the hashes of that file."""
        check_pieces(pieces, digest)
        if pieces.size != self.files[digest].size:
            raise PeerError(f"{self.files[digest].name} has another size than was offered.")
        self._pieces[digest] = pieces

    def save_pieces(self) -> None:
        with _as_backend_errors(self._folder):
            known = {digest: pieces.hashes for digest, pieces in self._pieces.items()}
            self._write(self._folder / PIECES, json.dumps(known).encode())

    def pieces(self, digest: str) -> FilePieces | None:
        return self._pieces.get(digest)

    def held(self, digest: str) -> Bitmap:
        return self._held[digest]

    def file_named(self, name: str) -> OfferedFile | None:
        return self._by_name.get(name)

    def write_piece(self, digest: str, index: int, data: bytes) -> None:
        """Raises `CorruptPiece`, and `BackendError` where the disk refuses."""
        if hash_piece(data) != hash_of(self._pieces[digest], index):
            raise CorruptPiece(f"piece {index} of {self.files[digest].name} is not what it should be")
        path = self.path_of(digest)
        with _as_backend_errors(path):
            descriptor = os.open(path, os.O_WRONLY)
            try:
                _write_all(descriptor, data, piece_bounds(index, self.files[digest].size)[0])
            finally:
                os.close(descriptor)
        with self._lock:
            self._held[digest].add(index)
            self._saved.discard(digest)

    def save(self) -> None:
        """Notes which pieces are here, once they are on the disk; files that are whole now join the hub's cache."""
        with self._lock:
            changed = {digest: self._held[digest].to_hex() for digest in self.files if digest not in self._saved}
        with _as_backend_errors(self._folder):
            for digest in changed:
                _sync(self.path_of(digest))
            noted = _read_json(self._folder / HELD) | changed
            self._write(self._folder / HELD, json.dumps(noted).encode())
        with self._lock:
            self._saved |= {digest for digest, bits in changed.items() if self._held[digest].to_hex() == bits}
        self._adopt(digest for digest in changed if self._held[digest].is_full)

    def _adopt(self, digests: Iterable[str]) -> None:
        offer = self.offer
        try:
            for digest in digests:
                blob = hub_cache.adopt(self._cache, offer.model_id, offer.revision, self.path_of(digest), digest)
                self._memory.remember(blob, self._pieces[digest])
            if all(self._held[digest].is_full for digest in self.files):
                hub_cache.name_revision(self._cache, offer.model_id, offer.revision)
        except OSError as error:
            # The folder is used as it is; only other programs do not find it.
            fields = {"model": offer.model_id, "problem": error.strerror}
            logger.warning("fetched files do not join the hub's cache", extra={"fields": fields})


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_json(path: Path) -> dict[str, object]:
    """Empty where it is not there or damaged: then the pieces are fetched again."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


@contextlib.contextmanager
def _as_backend_errors(path: Path):  # type: ignore[no-untyped-def]
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            message = f"The disk of {path} is full; free some space, or set engine.hub_cache to a folder elsewhere."
        else:
            message = f"{path} cannot be written: {error.strerror}; set engine.hub_cache to a folder that can."
        raise BackendError(message) from None


def left_partials(cache: Path, model_id: str) -> list[WeightsOffer]:
    """Offers that earlier runs began to fetch, the newest first."""
    from swarm.domain.errors import SwarmError
    from swarm.wire.codec import from_json

    found: list[WeightsOffer] = []
    places = sorted(
        hub_cache.model_folder(cache, model_id).glob(f"{hub_cache.PARTIAL}/*/{OFFER}"),
        key=lambda place: -place.stat().st_mtime,
    )
    for place in places:
        with contextlib.suppress(OSError, SwarmError):
            found.append(from_json(WeightsOffer, place.read_bytes()))
    return found
