"""How weights come to this node and leave it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from swarm.domain.nodes import PeerInfo
from swarm.domain.weights import FilePieces, HeldPieces, WeightsOffer


class WeightsLink(Protocol):
    """Weights of another node. All methods raise `PeerError` where it does not answer or answers nonsense."""

    async def offer(self, peer: PeerInfo, model_id: str) -> WeightsOffer | None:
        """None where it has nothing of that model; `Unavailable` while it still reads its own copy."""
        ...

    async def pieces(self, peer: PeerInfo, digest: str) -> FilePieces: ...

    async def held(self, peer: PeerInfo, digest: str) -> HeldPieces: ...

    async def read(self, peer: PeerInfo, digest: str, start: int, length: int) -> bytes:
        """Exactly `length` bytes of the file from `start` on, not checked yet."""
        ...


class WeightsShelf(Protocol):
    """This node's own weights, for others. Files are asked for by the digest of their content, never by a path."""

    async def offer(self, model_id: str) -> WeightsOffer | None:
        """None: nothing of that model is offered here; raises `Unavailable` while the copy is being hashed."""
        ...

    async def pieces(self, digest: str) -> FilePieces | None: ...

    async def held(self, digest: str) -> HeldPieces | None: ...

    async def locate(self, digest: str, start: int, end: int) -> Path | None:
        """The file whose bytes `start` to `end` may be sent now; None where some of them are not here. Waits until
        the rate limit lets them pass."""
        ...
