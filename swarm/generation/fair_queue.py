"""Who waits, by client: each client's requests in their order, and clients in turn. Pure."""

from __future__ import annotations

from collections import deque
from itertools import zip_longest
from typing import Generic, TypeVar, cast

T = TypeVar("T")


class FairQueue(Generic[T]):
    """A client that asks for much waits for itself, not the others for it."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[T]] = {}
        """Of each client that waits; the client whose turn is next comes first."""

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def add(self, client: str, item: T) -> None:
        self._lines.setdefault(client, deque()).append(item)

    def discard(self, client: str, item: T) -> None:
        line = self._lines.get(client, deque())
        if item in line:
            line.remove(item)
            if not line:
                del self._lines[client]

    def next(self) -> T | None:
        """Takes out whose turn it is; its client's next turn comes after all others'."""
        for client, line in self._lines.items():
            item = line.popleft()
            del self._lines[client]
            if line:
                self._lines[client] = line
            return item
        return None

    def give_up_for(self, client: str) -> T | None:
        """Takes out the last of the client that has the most, where that leaves it more than the newcomer's."""
        greediest = max(self._lines, key=lambda name: len(self._lines[name]), default=None)
        if greediest is None or len(self._lines[greediest]) <= len(self._lines.get(client, ())) + 1:
            return None
        item = self._lines[greediest][-1]
        self.discard(greediest, item)
        return item

    def in_order(self) -> list[T]:
        """As they will be taken out, if nobody else comes."""
        nobody = object()
        rounds = zip_longest(*self._lines.values(), fillvalue=nobody)
        return [cast(T, item) for each in rounds for item in each if item is not nobody]
