"""One event for everybody who wants to hear it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Broadcast(Generic[T]):
    def __init__(self) -> None:
        self._hearers: dict[object, Callable[[T], None]] = {}

    def publish(self, event: T) -> None:
        for hear in tuple(self._hearers.values()):
            hear(event)

    def subscribe(self, hear: Callable[[T], None]) -> Callable[[], None]:
        """`hear` must neither wait nor raise. What is returned ends it, and may be called twice."""
        key = object()
        self._hearers[key] = hear

        def unsubscribe() -> None:
            self._hearers.pop(key, None)

        return unsubscribe
