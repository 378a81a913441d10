"""What the engine asks of the node to load a model: where its files are, and the bytes of them that are missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from swarm.domain.nodes import Progress
from swarm.domain.weights import FileRange
from swarm.engine.model_choice import ModelChoice

Tell = Callable[[Progress], None]


class ModelSource(Protocol):
    """Both methods may take as long as a model takes to arrive, and raise `SwarmError` where it cannot be had now."""

    async def settle(self, choice: ModelChoice, tell: Tell) -> ModelChoice:
        """The same or another model, with its folder here; a name that is left as it is is the hub's to find."""
        ...

    async def fill(self, choice: ModelChoice, ranges: Sequence[FileRange], tell: Tell) -> None:
        """Brings these bytes into the files of the folder."""
        ...


class FoldersOnly:
    """`ModelSource` of an engine that has no other nodes to ask."""

    async def settle(self, choice: ModelChoice, tell: Tell) -> ModelChoice:  # noqa: ARG002
        return choice

    async def fill(self, choice: ModelChoice, ranges: Sequence[FileRange], tell: Tell) -> None:
        """Nothing: a folder that was settled on has no holes."""
