"""Nodes that have pieces of a model, as fetching sees them: what each holds, and whether it may be asked now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import PeerInfo
from swarm.weights.pieces import Bitmap
from swarm.weights.schedule import Piece

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0


@dataclass(slots=True)
class Source:
    peer: PeerInfo
    held: dict[str, Bitmap]
    """By the digest of the file."""
    failures: int = 0
    """In a row."""
    not_before: float = 0.0
    received_bytes: int = 0

    @property
    def node(self) -> NodeId:
        return self.peer.node

    @property
    def is_growing(self) -> bool:
        """It is fetching, too."""
        return not all(bitmap.is_full for bitmap in self.held.values())

    def holds(self, piece: Piece) -> bool:
        bitmap = self.held.get(piece.file)
        return bitmap is not None and piece.index in bitmap

    def failed(self, now: float) -> None:
        self.failures += 1
        self.not_before = now + min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (self.failures - 1))

    def delivered(self, count: int) -> None:
        self.failures = 0
        self.received_bytes += count


def nobody_hears(_node: NodeId) -> None:
    """Where no record is kept of who is reliable."""


@dataclass(slots=True)
class Excluded:
    """Nodes that sent what their hashes do not promise; a restart of the node gives it another chance."""

    tell: Callable[[NodeId], None] = nobody_hears
    """Called at once, and once for each run of a node."""
    _boots: set[tuple[NodeId, BootId]] = field(default_factory=set)

    def add(self, peer: PeerInfo) -> None:
        if peer not in self:
            self._boots.add((peer.node, peer.boot))
            self.tell(peer.node)

    def __contains__(self, peer: PeerInfo) -> bool:
        return (peer.node, peer.boot) in self._boots
