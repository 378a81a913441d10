"""Keys and values of sequences, kept so that sequences can be run side by side without copying.

A sequence has one slot of a shelf: a tensor [slots, heads, tokens, size] for the keys of each of its blocks and one for
the values. Sequences through the same blocks share the shelf of their size, the lowest free slot first, so that those
that run together mostly lie side by side and a layer is given a view of them. One that outgrows its shelf moves on to
the one of twice the size.
"""

from __future__ import annotations

import contextlib
import heapq
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from swarm.domain.nodes import BlockSpan

SMALLEST_SHELF = 256
"""Tokens of a slot at first."""


@dataclass(frozen=True, slots=True)
class LayerShape:
    """What a layer keeps of a token, beside the number of tokens: [heads, size], and in which format."""

    keys: tuple[int, int]
    values: tuple[int, int]
    dtype: torch.dtype

    @property
    def bytes_per_token(self) -> int:
        numbers = self.keys[0] * self.keys[1] + self.values[0] * self.values[1]
        return numbers * torch.empty((), dtype=self.dtype).element_size()


class Shelf:
    """Slots of one size for the blocks of one span; grows by doubling their number."""

    def __init__(self, shapes: Sequence[LayerShape], capacity: int, device: torch.device) -> None:
        self.capacity, self._shapes, self._device = capacity, shapes, device
        self._free: list[int] = []
        self.slots = 0
        self.keys: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []

    @property
    def is_empty(self) -> bool:
        return len(self._free) == self.slots

    def take(self, rows: int = 1) -> int:
        """The first of `rows` slots; more than one only from an empty shelf."""
        if len(self._free) < rows:
            self._grow(max(rows, 2 * self.slots))
        slots = [heapq.heappop(self._free) for _ in range(rows)]
        return slots[0]

    @torch.inference_mode()
    def give(self, slot: int, rows: int, tokens: int) -> None:
        """Takes slots back of which `tokens` were written. They are blanked, since whoever has them next multiplies
        what it masks by nothing, which does not make a number of what is none."""
        for tensor in (*self.keys, *self.values):
            tensor[slot : slot + rows, :, :tokens] = 0
        for freed in range(slot, slot + rows):
            heapq.heappush(self._free, freed)

    def _grow(self, slots: int) -> None:
        self.keys = [self._grown(at, shape.keys, shape.dtype, slots) for at, shape in enumerate(self._shapes)]
        self.values = [self._grown(-1 - at, shape.values, shape.dtype, slots) for at, shape in enumerate(self._shapes)]
        for slot in range(self.slots, slots):
            heapq.heappush(self._free, slot)
        self.slots = slots

    def _grown(self, at: int, shape: tuple[int, int], dtype: torch.dtype, slots: int) -> torch.Tensor:
        heads, size = shape
        grown = torch.zeros(slots, heads, self.capacity, size, dtype=dtype, device=self._device)
        if self.slots:
            held = self.keys[at] if at >= 0 else self.values[-1 - at]
            grown[: self.slots] = held
        return grown


class CacheRoom:
    """The shelves of a worker's blocks, which are read and written inside `keeping`."""

    def __init__(self, shapes: dict[int, LayerShape], device: torch.device) -> None:
        """`shapes` by the index of the block."""
        self._shapes, self._device = shapes, device
        self._shelves: dict[tuple[int, int, int], Shelf] = {}
        self._closed: deque[SequenceCache] = deque()
        self._lock, self._kept = threading.RLock(), 0

    def bytes_per_token(self, span: BlockSpan) -> int:
        return sum(self._shapes[index].bytes_per_token for index in range(span.start, span.end))

    def shelf(self, span: BlockSpan, capacity: int, *, shared: bool) -> Shelf:
        shapes = [self._shapes[index] for index in range(span.start, span.end)]
        if not shared:
            return Shelf(shapes, capacity, self._device)
        key = (span.start, span.end, capacity)
        if key not in self._shelves:
            self._shelves[key] = Shelf(shapes, capacity, self._device)
        return self._shelves[key]

    def take_back(self, cache: SequenceCache) -> None:
        """Now, or when the step that runs is over: this is called from threads that may not wait for it."""
        self._closed.append(cache)
        self.sweep()

    @contextlib.contextmanager
    def keeping(self) -> Iterator[None]:
        """For one thread at a time; it may be nested. What is closed meanwhile, by any thread, is freed at the end."""
        try:
            with self._lock:
                self._kept += 1
                try:
                    yield
                finally:
                    self._kept -= 1
        finally:
            self.sweep()

    def sweep(self) -> None:
        while self._closed and self._lock.acquire(blocking=False):
            try:
                if self._kept:  # by this thread: later
                    return
                while self._closed:
                    self._closed.popleft().free()
                self._shelves = {key: shelf for key, shelf in self._shelves.items() if not shelf.is_empty}
            finally:
                self._lock.release()


class SequenceCache:
    """Of one sequence in the blocks of `span`; or of several of the same length, which run as one."""

    def __init__(
        self, room: CacheRoom, span: BlockSpan, max_tokens: int, reserve: Callable[[int], None], rows: int = 1
    ) -> None:
        """`reserve` is told how many bytes more are about to be held; it raises where there are none left."""
        self.span, self.max_tokens, self.rows, self.past = span, max_tokens, rows, 0
        self.shelf: Shelf | None = None
        self.slot = 0
        self.is_closed = False
        self._room, self._reserve = room, reserve

    def close(self) -> None:
        """From any thread, also while a step runs; once."""
        if not self.is_closed:
            self.is_closed = True
            self._room.take_back(self)

    def make_room(self, tokens: int) -> None:
        """For this many after `past`. Raises what `reserve` raises, `ValueError` beyond `max_tokens`, or closed."""
        if self.is_closed:
            raise ValueError("the sequence is closed")
        needed = self.past + tokens
        if needed > self.max_tokens:
            raise ValueError(f"the sequence was to have {self.max_tokens} tokens at most, not {needed}")
        held = self.shelf.capacity if self.shelf else 0
        if needed > held:
            capacity = max(SMALLEST_SHELF, 1 << (needed - 1).bit_length())
            self._reserve((capacity - held) * self.rows * self._room.bytes_per_token(self.span))
            self._move(self._room.shelf(self.span, capacity, shared=self.rows == 1))

    @torch.inference_mode()
    def _move(self, shelf: Shelf) -> None:
        slot, rows = shelf.take(self.rows), self.rows
        if self.shelf is not None:
            for new, old in zip((*shelf.keys, *shelf.values), (*self.shelf.keys, *self.shelf.values), strict=True):
                new[slot : slot + rows, :, : self.past] = old[self.slot : self.slot + rows, :, : self.past]
        self.free()
        self.shelf, self.slot = shelf, slot

    def free(self) -> None:
        """Gives the slots back; the room calls it, under its lock."""
        if self.shelf is not None:
            self.shelf.give(self.slot, self.rows, self.past)
            self.shelf = None


class OneSequence:
    """One sequence during a step, as a layer sees a transformers `Cache`: `layer` counts from the span's first."""

    is_compileable = False

    def __init__(self, cache: SequenceCache) -> None:
        assert cache.shelf is not None
        self.layer = 0
        self._past, self._shelf = cache.past, cache.shelf
        self._rows = slice(cache.slot, cache.slot + cache.rows)

    def get_seq_length(self, *_: Any) -> int:
        return self._past

    def get_query_offset(self, *_: Any) -> int:
        return self._past

    def get_mask_sizes(self, query: int | torch.Tensor, *_: Any) -> tuple[int, int]:
        """Length and offset of the keys that a query of this many tokens sees."""
        return self._past + (query if isinstance(query, int) else query.shape[0]), 0

    def update(self, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Writes [rows, heads, tokens, size] after what is there; returns all keys and values up to there."""
        end = self._past + keys.shape[2]
        held_keys, held_values = self._shelf.keys[self.layer][self._rows], self._shelf.values[self.layer][self._rows]
        held_keys[:, :, self._past : end] = keys
        held_values[:, :, self._past : end] = values
        return held_keys[:, :, :end], held_values[:, :, :end]


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows of a batch that lie on one shelf: the rows from `start` on, and where they lie."""

    shelf: Shelf
    start: int
    slots: torch.Tensor
    pasts: torch.Tensor
    run: slice | None
    """Where the slots follow each other: all of them."""

    def write(self, held: torch.Tensor, new: torch.Tensor) -> None:
        held[self.slots, :, self.pasts] = new[self.start : self.start + len(self.slots), :, 0]

    def read(self, held: torch.Tensor, tokens: int) -> torch.Tensor:
        return held[self.run, :, :tokens] if self.run else held[:, :, :tokens][self.slots]


class ManySequences:
    """Single tokens of several sequences of different lengths during one step; `caches` are in `batch_order`.

    Each row is written after its own sequence; what a layer is given is as long as the longest, for a mask to cut."""

    is_compileable = False

    def __init__(self, caches: Sequence[SequenceCache], device: torch.device) -> None:
        self.layer = 0
        self.pasts = torch.tensor([cache.past for cache in caches], device=device)
        self.longest = max(cache.past for cache in caches) + 1
        self._groups = list(_groups(caches, self.pasts, device))

    def get_seq_length(self, *_: Any) -> int:
        return self.longest - 1

    def update(self, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Writes [rows, heads, 1, size]; returns [rows, heads, longest, size], with zeros after the shorter ones."""
        for group in self._groups:
            group.write(group.shelf.keys[self.layer], keys)
            group.write(group.shelf.values[self.layer], values)
        return (
            self._joined([(group, group.shelf.keys[self.layer]) for group in self._groups], keys),
            self._joined([(group, group.shelf.values[self.layer]) for group in self._groups], values),
        )

    def _joined(self, held: list[tuple[_Group, torch.Tensor]], new: torch.Tensor) -> torch.Tensor:
        if len(held) == 1:
            return held[0][0].read(held[0][1], self.longest)
        rows, heads, _, size = new.shape
        joined = held[0][1].new_zeros(rows, heads, self.longest, size)
        for group, tensor in held:
            part = group.read(tensor, self.longest)
            joined[group.start : group.start + part.shape[0], :, : part.shape[2]] = part
        return joined


def batch_order(caches: Sequence[SequenceCache]) -> list[int]:
    """In which order rows lie best: shelf by shelf, slot by slot."""
    return sorted(range(len(caches)), key=lambda at: (_shelf(caches[at]).capacity, caches[at].slot))


def _groups(caches: Sequence[SequenceCache], pasts: torch.Tensor, device: torch.device) -> Any:
    start = 0
    while start < len(caches):
        shelf, end = _shelf(caches[start]), start
        while end < len(caches) and caches[end].shelf is shelf:
            end += 1
        slots = [cache.slot for cache in caches[start:end]]
        run = slice(slots[0], slots[-1] + 1) if slots[-1] - slots[0] == len(slots) - 1 else None
        yield _Group(shelf, start, torch.tensor(slots, device=device), pasts[start:end], run)
        start = end


def _shelf(cache: SequenceCache) -> Shelf:
    assert cache.shelf is not None
    return cache.shelf
