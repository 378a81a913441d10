"""A model that is being fetched: sparse files of full size, and which of their pieces are here. All methods block."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from swarm.domain.errors import BackendError, PeerError
from swarm.domain.weights import FilePieces, OfferedFile, WeightsOffer
from swarm.weights import hub_cache
from swarm.weights.hashes import HashMemory, Write
from swarm.weights.notes import Notes
from swarm.weights.pieces import Bitmap, check_pieces, hash_of, hash_piece, piece_bounds, piece_count

logger = logging.getLogger(__name__)


class CorruptPiece(PeerError):
    """The bytes are not those that the hash promised."""


class PartialModel:
    """Safe from several threads. Pieces that were written are here at once; `keep` makes them last, and lets whole
    files join the hub's cache."""

    def __init__(self, cache: Path, offer: WeightsOffer, content: str, memory: HashMemory, write: Write) -> None:
        self._cache, self.offer, self._memory = cache, offer, memory
        place = hub_cache.partial_folder(cache, offer.model_id, content)
        self.folder = place / "files"
        """Opened by the worker; looks like a whole checkpoint."""
        self._notes = Notes(place, write)
        self.files: Mapping[str, OfferedFile] = {file.digest: file for file in offer.files}
        self._by_name = {file.name: file for file in offer.files}
        self._pieces: dict[str, FilePieces] = {}
        self._held: dict[str, Bitmap] = {}
        self._kept: dict[str, str] = {}
        """The bitmaps that have reached the disk."""
        self._lock = threading.Lock()

    def path_of(self, digest: str) -> Path:
        return self.folder / self.files[digest].name

    def open(self) -> None:
        """Makes the files, or takes up what an earlier run left. Raises `BackendError` where the disk refuses."""
        with _as_backend_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._notes.note_offer(self.offer)
            hashes, held, written = self._notes.hashes(), self._notes.held(), self._notes.written()
            for digest, file in self.files.items():
                with contextlib.suppress(PeerError):
                    if isinstance(hashes.get(digest), str):
                        self.learn(digest, FilePieces(file.size, hashes[digest]))
                self._take_up(file, held.get(digest), written.get(digest))

    def _take_up(self, file: OfferedFile, held: object, written: object) -> None:
        path = self.folder / file.name
        # A file that is missing or of another size holds nothing, whatever was noted.
        is_whole = path.exists() and path.stat().st_size == file.size and file.digest in self._pieces
        bitmap = _bitmap(file, held if is_whole else None)
        self._kept[file.digest] = bitmap.to_hex()
        doubtful = _bitmap(file, written if is_whole else None)
        for index in range(piece_count(file.size)):
            if index in doubtful and index not in bitmap and self._is_right(file, index):
                bitmap.add(index)
        with path.open("ab") as opened:
            opened.truncate(file.size)
        self._held[file.digest] = bitmap

    def _is_right(self, file: OfferedFile, index: int) -> bool:
        start, end = piece_bounds(index, file.size)
        with self.path_of(file.digest).open("rb") as opened:
            opened.seek(start)
            return hash_piece(opened.read(end - start)) == hash_of(self._pieces[file.digest], index)

    def learn(self, digest: str, pieces: FilePieces) -> None:
        """Raises `PeerError` where these are not the hashes of that file."""
        check_pieces(pieces, digest)
        if pieces.size != self.files[digest].size:
            raise PeerError(f"{self.files[digest].name} has another size than was offered.")
        self._pieces[digest] = pieces

    def note_hashes(self) -> None:
        with _as_backend_errors(self.folder):
            self._notes.note_hashes({digest: pieces.hashes for digest, pieces in self._pieces.items()})

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

    def note(self) -> None:
        """Notes which pieces were written, for a start after this process was killed."""
        with _as_backend_errors(self.folder):
            self._notes.note_written(self._bitmaps())

    def keep(self) -> None:
        """Waits until the disk has what was written, notes that, and lets whole files join the hub's cache."""
        bitmaps = self._bitmaps()
        changed = [digest for digest, bitmap in bitmaps.items() if self._kept[digest] != bitmap]
        if not changed:
            return
        with _as_backend_errors(self.folder):
            for digest in changed:
                _sync(self.path_of(digest))
            self._notes.note_held(bitmaps)
        self._kept = bitmaps
        self._adopt(digest for digest in changed if self._is_whole(digest, bitmaps))
        if all(self._is_whole(digest, bitmaps) for digest in self.files):
            self._name_revision()

    def _bitmaps(self) -> dict[str, str]:
        with self._lock:
            return {digest: bitmap.to_hex() for digest, bitmap in self._held.items()}

    def _is_whole(self, digest: str, bitmaps: Mapping[str, str]) -> bool:
        return _bitmap(self.files[digest], bitmaps[digest]).is_full

    def _adopt(self, digests: Iterable[str]) -> None:
        offer = self.offer
        with self._as_warnings():
            for digest in digests:
                blob = hub_cache.adopt(self._cache, offer.model_id, offer.revision, self.path_of(digest), digest)
                self._memory.remember(blob, self._pieces[digest])

    def _name_revision(self) -> None:
        with self._as_warnings():
            hub_cache.name_revision(self._cache, self.offer.model_id, self.offer.revision)

    @contextlib.contextmanager
    def _as_warnings(self) -> Iterator[None]:
        """The folder is used as it is; only other programs do not find it."""
        try:
            yield
        except OSError as error:
            fields = {"model": self.offer.model_id, "problem": error.strerror}
            logger.warning("fetched files do not join the hub's cache", extra={"fields": fields})


def _bitmap(file: OfferedFile, noted: object) -> Bitmap:
    """Empty where what was noted is none."""
    count = piece_count(file.size)
    with contextlib.suppress(ValueError):
        if isinstance(noted, str):
            return Bitmap.from_hex(count, noted)
    return Bitmap(count)


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


@contextlib.contextmanager
def _as_backend_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            message = f"The disk of {path} is full; free some space, or set engine.hub_cache to a folder elsewhere."
        else:
            message = f"{path} cannot be written: {error.strerror}; set engine.hub_cache to a folder that can."
        raise BackendError(message) from None
