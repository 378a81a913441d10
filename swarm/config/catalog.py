"""The list of all settings, read off the settings classes, so that there is no second one to keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from types import MappingProxyType
from typing import Any, get_type_hints

from swarm.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Setting:
    section: str
    field: str
    type: Any

    @property
    def name(self) -> str:
        return f"{self.section}.{self.field}"

    @property
    def variable(self) -> str:
        return environment_name(self.name)


def environment_name(name: str) -> str:
    """`api.port` is SWARM_API_PORT."""
    return "SWARM_" + name.replace(".", "_").upper()


@cache
def sections() -> Mapping[str, type[Any]]:
    """The settings class of every section."""
    hints = get_type_hints(Settings).items()
    return MappingProxyType({name: kind for name, kind in hints if isinstance(kind, type) and is_dataclass(kind)})


@cache
def catalog() -> Mapping[str, Setting]:
    """By name: `api.port`."""
    found = (
        Setting(section, field.name, get_type_hints(kind)[field.name])
        for section, kind in sections().items()
        for field in fields(kind)
    )
    return MappingProxyType({setting.name: setting for setting in found})


def nearest(wrong: str, known: Iterable[str]) -> str | None:
    near = get_close_matches(wrong, sorted(known), n=1)
    return near[0] if near else None


def suggest(wrong: str, known: Iterable[str]) -> str:
    """`did you mean …?`, or what there is."""
    names = sorted(known)
    near = nearest(wrong, names)
    return f"did you mean {near}?" if near else f"known are: {', '.join(names)}"
