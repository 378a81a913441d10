"""The parts of a model that run as steps of their own: a span of blocks, the head, and the whole of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from swarm.domain.nodes import BlockSpan
from swarm.worker.families.blocks import Blocks
from swarm.worker.families.caches import SequenceCache
from swarm.worker.families.ends import Ends, Place


@dataclass(frozen=True, slots=True)
class SpanPart:
    """Hidden states [rows, tokens, hidden] through the blocks of `span`, which the sequence's cache is made for."""

    blocks: Blocks
    span: BlockSpan

    @property
    def model(self) -> Blocks:
        return self.blocks

    @property
    def size(self) -> int:
        return len(self.span)

    def takes_rows(self, cache: SequenceCache) -> bool:
        return self.blocks.batches and cache.rows == 1 and cache.past > 0

    def run_piece(self, cache: SequenceCache, piece: torch.Tensor) -> torch.Tensor:
        return self.blocks.forward(piece, cache).cpu()

    def run_rows(
        self, caches: Sequence[SequenceCache], tokens: Sequence[torch.Tensor]
    ) -> Sequence[torch.Tensor | Exception]:
        if len(caches) == 1:
            return [self.run_piece(caches[0], tokens[0])]
        with self.blocks.keeping():  # One that is closed from here on is run to its end with the others.
            made: list[torch.Tensor | Exception] = [problem or tokens[0] for problem in map(self._problem, caches)]
            fit = [at for at, result in enumerate(made) if not isinstance(result, Exception)]
            if fit:
                together = self.blocks.forward_rows(torch.cat([tokens[at] for at in fit]), [caches[at] for at in fit])
                for at, row in zip(fit, together.cpu().split(1), strict=True):
                    made[at] = row
        return made

    def _problem(self, cache: SequenceCache) -> Exception | None:
        try:
            self.blocks.make_room(cache)
        except Exception as error:
            return error
        return None


@dataclass(slots=True, weakref_slot=True, eq=False)
class Reader:
    """A sequence as the embedding and the head know it."""

    past: int = 0
    """Tokens that were embedded."""
    last: int = 0
    """The id of the last of them."""

    def read(self, ids: torch.Tensor) -> None:
        self.past, self.last = self.past + ids.shape[1], int(ids[0, -1])

    @property
    def place(self) -> Place:
        return Place(self.last, self.past - 1)


class EmbeddingPart:
    """Token ids [1, tokens] to the hidden states [1, tokens, hidden] that the first block is given."""

    size = 1

    def __init__(self, ends: Ends) -> None:
        self.model = self._ends = ends

    def takes_rows(self, _: Reader) -> bool:
        return True

    def run_piece(self, reader: Reader, piece: torch.Tensor) -> torch.Tensor:
        return self.run_rows([reader], [piece])[0]

    def run_rows(self, readers: Sequence[Reader], tokens: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        count = tokens[0].shape[1]
        positions = torch.tensor([range(reader.past, reader.past + count) for reader in readers])
        hidden = self._ends.embedding(torch.cat(list(tokens)), positions).cpu()
        for reader, ids in zip(readers, tokens, strict=True):
            reader.read(ids)
        return hidden.split(1)


class HeadPart:
    """Hidden states [1, 1, hidden] after the last block to logits [1, 1, vocabulary]."""

    size = 1

    def __init__(self, ends: Ends) -> None:
        self.model = self._ends = ends

    def takes_rows(self, _: Reader) -> bool:
        return True

    def run_piece(self, reader: Reader, piece: torch.Tensor) -> torch.Tensor:
        return self._ends.logits(piece, [reader.place])

    def run_rows(self, readers: Sequence[Reader], tokens: Sequence[torch.Tensor]) -> Sequence[torch.Tensor | Exception]:
        return self._ends.logits(torch.cat(list(tokens)), [reader.place for reader in readers]).split(1)


class WholePart:
    """Token ids [1, tokens] to the logits [1, 1, vocabulary] that follow the last of each piece, or of each token."""

    def __init__(self, blocks: Blocks, ends: Ends, *, keep_all: bool = False) -> None:
        self.model, self.size = blocks, len(blocks.layers)
        self._ends, self._keep = ends, 0 if keep_all else 1
        self.all_logits = self if keep_all else WholePart(blocks, ends, keep_all=True)
        """The same part of the model, giving the logits that follow each token."""
        self.states = StatesPart(blocks, ends)

    def takes_rows(self, cache: SequenceCache) -> bool:
        return self.model.batches and cache.past > 0

    def run_piece(self, cache: SequenceCache, piece: torch.Tensor) -> torch.Tensor:
        positions = torch.arange(cache.past, cache.past + piece.shape[1]).unsqueeze(0)
        return self._ends.around(piece, positions, lambda hidden: self.model.forward(hidden, cache), self._keep)

    def run_rows(
        self, caches: Sequence[SequenceCache], tokens: Sequence[torch.Tensor]
    ) -> Sequence[torch.Tensor | Exception]:
        if len(caches) == 1:
            return [self.run_piece(caches[0], tokens[0])]
        positions, run = torch.tensor([[cache.past] for cache in caches]), self.model.forward_rows
        with self.model.keeping():
            for cache in caches:
                self.model.make_room(cache)
            made = self._ends.around(torch.cat(list(tokens)), positions, lambda hidden: run(hidden, caches), self._keep)
        return made.split(1)


class StatesPart:
    """Token ids [1, tokens] to the last hidden states [1, tokens, hidden], which the head would be given."""

    def __init__(self, blocks: Blocks, ends: Ends) -> None:
        self.model, self.size, self._ends = blocks, len(blocks.layers), ends

    def takes_rows(self, _: SequenceCache) -> bool:
        return False

    def run_piece(self, cache: SequenceCache, piece: torch.Tensor) -> torch.Tensor:
        positions = torch.arange(cache.past, cache.past + piece.shape[1]).unsqueeze(0)
        return self._ends.states(piece, positions, lambda hidden: self.model.forward(hidden, cache))

    def run_rows(
        self, caches: Sequence[SequenceCache], tokens: Sequence[torch.Tensor]
    ) -> Sequence[torch.Tensor | Exception]:
        return [self.run_piece(cache, piece) for cache, piece in zip(caches, tokens, strict=True)]
