"""What a worker holds of a model, and how that changes while it serves."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import replace

from torch import nn

from swarm.domain.nodes import BlockSpan
from swarm.worker.chain_door import ChainDoor
from swarm.worker.families.blocks import Blocks
from swarm.worker.families.model import LoadedModel, load_blocks
from swarm.worker.families.room import Room
from swarm.worker.moving import MoveWatch

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
RELEASE_S = 60.0
"""How long running sequences may keep blocks whose memory is needed, before the node stays where it is."""


class MovingBlocks:
    """The blocks of a node that may serve others instead. `run` watches, in a thread of its own, until `stop`."""

    def __init__(
        self,
        chain: ChainDoor,
        model: LoadedModel,
        span: BlockSpan,
        capacity: int,
        use: Callable[[LoadedModel, BlockSpan | None], None],
    ) -> None:
        """`use` is given the model that answers from now on, and the blocks to be served: None while there are none."""
        self._chain, self._model, self._span, self._use = chain, model, span, use
        self._room = Room(capacity)
        self._stopped = threading.Event()
        self._is_paused = False
        """Nothing is served: the old blocks were let go, and the new ones could not be taken."""
        assert model.blocks is not None
        self._room.note(model.blocks.layers.values())

    def stop(self) -> None:
        self._stopped.set()

    def run(self) -> None:
        watch = MoveWatch(self._chain.server_id)
        layers = self._model.checkpoint.info.layers
        while not self._stopped.wait(LOOK_EVERY_S):
            try:
                if self._is_paused:
                    self._take(self._span)
                span = watch.decide(layers, self._chain.places(), time.monotonic())
                if span is not None:
                    self._move(span)
            except Exception:
                logger.warning("other blocks could not be taken over; this node stays where it is", exc_info=True)

    def _move(self, span: BlockSpan) -> None:
        """Loads first and leaves then, where memory allows; else leaves first what others serve as well."""
        fields = {"from": str(self._span), "to": str(span)}
        logger.info("other blocks need this node more", extra={"fields": fields})
        self._chain.intend(span)
        try:
            if self._lacking(span) <= self._room.free or self._make_room(span):
                self._take(span)
        finally:
            self._chain.intend(None)

    def _take(self, span: BlockSpan) -> None:
        held = self._model.blocks.layers if self._model.blocks else {}
        blocks = load_blocks(self._model, span, held)
        self._room.note(blocks.layers.values())
        self._serve(blocks, span)

    def _serve(self, blocks: Blocks, span: BlockSpan) -> None:
        self._model, self._span = replace(self._model, blocks=blocks), span
        self._use(self._model, span)
        self._is_paused = False

    def _lacking(self, span: BlockSpan) -> int:
        held = self._model.blocks.layers if self._model.blocks else {}
        return sum(index not in held for index in range(span.start, span.end))

    def _make_room(self, span: BlockSpan) -> bool:
        """False where running sequences did not let go in time; then the old blocks are served again."""
        assert self._model.blocks is not None
        old, old_layers = weakref.ref(self._model.blocks), self._model.blocks.layers
        common = {index: old_layers[index] for index in range(span.start, span.end) if index in old_layers}
        self._is_paused = True
        self._chain.pause(span)
        self._model = replace(self._model, blocks=self._part(common))
        self._use(self._model, None)
        del old_layers, common
        give_up = time.monotonic() + RELEASE_S
        while self._room.free < self._lacking(span):
            if self._stopped.wait(0.5):
                return False
            if time.monotonic() > give_up and (blocks := old()) is not None:
                self._serve(blocks, self._span)
                return False
        return True

    def _part(self, layers: dict[int, nn.Module]) -> Blocks | None:
        if not layers:
            return None
        return load_blocks(self._model, BlockSpan(min(layers), max(layers) + 1), layers)
