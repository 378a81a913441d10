"""What is noted beside the files of a model that is being fetched. All methods block.

Two notes of pieces: `held.json` of those that have reached the disk, and `written.json` of those that the system may
still hold in memory: after a crash of this process they are there, after a power cut perhaps not. The latter are
believed only once their hashes were computed again.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from swarm.domain.errors import PeerError
from swarm.domain.weights import WeightsOffer
from swarm.weights.hashes import Write
from swarm.weights.hub_cache import PARTIAL, model_folder
from swarm.wire.codec import from_json

OFFER, PIECES, HELD, WRITTEN = "offer.json", "pieces.json", "held.json", "written.json"


@dataclass(frozen=True, slots=True)
class Notes:
    """Reading never fails: what is damaged or missing is empty, and fetched again. Writing raises `OSError`."""

    folder: Path
    write: Write
    """Atomically, and for good."""

    def hashes(self) -> Mapping[str, Any]:
        """By the digest of the file, the hashes of its pieces."""
        return _read(self.folder / PIECES)

    def held(self) -> Mapping[str, Any]:
        """By the digest of the file, the bitmap of its pieces."""
        return _read(self.folder / HELD)

    def written(self) -> Mapping[str, Any]:
        return _read(self.folder / WRITTEN)

    def note_offer(self, offer: WeightsOffer) -> None:
        self.write(self.folder / OFFER, json.dumps(asdict(offer)).encode())

    def note_hashes(self, hashes: Mapping[str, str]) -> None:
        self.write(self.folder / PIECES, json.dumps(hashes).encode())

    def note_held(self, bitmaps: Mapping[str, str]) -> None:
        self.write(self.folder / HELD, json.dumps(bitmaps).encode())

    def note_written(self, bitmaps: Mapping[str, str]) -> None:
        """Does not wait for the disk, which is busy with the pieces themselves."""
        new = self.folder / f"{WRITTEN}.new"
        new.write_text(json.dumps(bitmaps))
        os.replace(new, self.folder / WRITTEN)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def begun_offers(cache: Path, model_id: str) -> list[WeightsOffer]:
    """What earlier runs began to fetch, the newest first."""
    found: list[tuple[float, WeightsOffer]] = []
    for place in model_folder(cache, model_id).glob(f"{PARTIAL}/*/{OFFER}"):
        with contextlib.suppress(OSError, PeerError):
            found.append((place.stat().st_mtime, from_json(WeightsOffer, place.read_bytes())))
    return [offer for _, offer in sorted(found, key=lambda pair: -pair[0])]
