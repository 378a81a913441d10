"""Where values come from: TOML files, environment variables and flags, each with a name for the error message."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swarm.config.catalog import Setting, catalog, nearest, sections, suggest
from swarm.config.flags import SETTING_OF_FLAG
from swarm.domain.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Given:
    """One value for one setting, not checked yet."""

    setting: Setting
    value: object
    origin: str
    """As the operator wrote it: `config.toml: [api] port`, `SWARM_API_PORT`, `--port`."""
    is_text: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    text: str


def read_toml(path: Path) -> dict[str, Any]:
    """Raises `ConfigError` where the file cannot be read or is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None


def from_toml(tables: Mapping[str, Any], path: Path) -> Iterator[Given | Problem]:
    for section, table in tables.items():
        if section not in sections():
            yield Problem(f"{path}: {section} is not a section; {_right_section(section)}")
        elif not isinstance(table, dict):
            yield Problem(f"{path}: {section} must be a section: write [{section}] and its settings below it")
        else:
            yield from _from_table(section, table, path)


def _from_table(section: str, table: Mapping[str, Any], path: Path) -> Iterator[Given | Problem]:
    for field, value in table.items():
        origin = f"{path}: [{section}] {field}"
        setting = catalog().get(f"{section}.{field}")
        if setting is None:
            known = [setting.field for setting in catalog().values() if setting.section == section]
            yield Problem(f"{origin} is not a setting; {suggest(field, known)}")
        else:
            yield Given(setting, value, origin)


def _right_section(name: str) -> str:
    """A setting written above the first section is the likely mistake."""
    homes = [f"[{setting.section}]" for setting in catalog().values() if setting.field == name]
    return f"it belongs in {' or '.join(homes)}" if homes else suggest(name, sections())


def from_environment(environ: Mapping[str, str]) -> Iterator[Given | Problem]:
    """Every variable that starts with SWARM_ is ours: a misspelt one is an error, not silence."""
    by_variable = {setting.variable: setting for setting in catalog().values()}
    for variable, text in environ.items():
        if variable in by_variable:
            yield Given(by_variable[variable], text, variable, is_text=True)
        elif variable.startswith("SWARM_"):
            yield Problem(f"the environment variable {variable} is not a setting; {_near_variable(variable)}")


def _near_variable(variable: str) -> str:
    near = nearest(variable, (setting.variable for setting in catalog().values()))
    return f"did you mean {near}?" if near else "config.example.toml lists what there is: SWARM_<SECTION>_<KEY>"


def from_flags(flags: Mapping[str, object]) -> Iterator[Given]:
    """By the flag's name; None is a flag that was not given."""
    for flag, value in flags.items():
        if value is not None:
            yield Given(catalog()[SETTING_OF_FLAG[flag]], value, flag)
