"""Which layers are in memory, also those that only a running sequence still needs."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterable

from torch import nn


class Room:
    """For `capacity` layers; a layer counts until nobody holds it any more."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._alive: weakref.WeakSet[nn.Module] = weakref.WeakSet()

    def note(self, layers: Iterable[nn.Module]) -> None:
        self._alive.update(layers)

    @property
    def free(self) -> int:
        gc.collect()  # modules may hang in cycles
        return self.capacity - len(self._alive)
