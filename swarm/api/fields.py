"""Values of a JSON object by name and type. null is the same as absent; every error names the parameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from swarm.domain.errors import RequestError


@dataclass(frozen=True, slots=True)
class Fields:
    values: Mapping[str, Any]
    path: str = ""
    """Where the object stands in the body: `swarm.`, `messages[0].`."""

    def get(self, name: str) -> Any:
        return self.values.get(name)

    def refuse(self, name: str, problem: str) -> RequestError:
        return RequestError(f"`{self.path}{name}` {problem}", param=self.path + name)

    def flag(self, name: str) -> bool | None:
        value = self.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.refuse(name, "must be true or false.")
        return value

    def integer(self, name: str, low: int, high: int) -> int | None:
        value = self.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.refuse(name, "must be an integer.")
        if not low <= value <= high:
            raise self.refuse(name, f"must be from {low} to {high}.")
        return value

    def number(self, name: str, low: float, high: float, *, above_low: bool = False) -> float | None:
        """`above_low` excludes `low` itself."""
        value = self.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refuse(name, "must be a number.")
        if not low <= value <= high or (above_low and value == low):
            raise self.refuse(
                name,
                f"must be {'above' if above_low else 'from'} {low:g} {'and at most' if above_low else 'to'} {high:g}.",
            )
        return float(value)

    def text(self, name: str) -> str | None:
        value = self.get(name)
        return None if value is None else self.as_text(value, name)

    def as_text(self, value: Any, name: str) -> str:
        if not isinstance(value, str):
            raise self.refuse(name, "must be a string.")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise self.refuse(name, "holds half a character (a lone UTF-16 surrogate).") from None
        return value

    def object(self, name: str) -> Fields | None:
        value = self.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.refuse(name, "must be an object.")
        return Fields(value, f"{self.path}{name}.")
