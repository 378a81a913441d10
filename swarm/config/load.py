"""From what was written, where it was written, to frozen settings."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from swarm.config.catalog import catalog, sections
from swarm.config.rules import check
from swarm.config.settings import Settings
from swarm.config.sources import Given, Problem, from_environment, from_flags, from_toml, read_toml
from swarm.domain.errors import ConfigError
from swarm.host.folders import resolve_data_dir

CONFIG_NAME = "config.toml"


def load_settings(config_file: Path | None, environ: Mapping[str, str], flags: Mapping[str, object]) -> Settings:
    """Defaults < config files < environment < flags. `flags` is keyed by the flag's name, such as `--port`.

    Without `config_file`, `config.toml` of the data folder and then of the current folder are read where they exist.
    Raises `ConfigError` that lists everything that is wrong, each with where it was written and what is allowed.
    """
    files = (config_file,) if config_file else _usual_files(environ, flags)
    given = [entry for path in files for entry in from_toml(read_toml(path), path)]
    given += [*from_environment(environ), *from_flags(flags)]
    values = _checked(given)
    parts: dict[str, Any] = {section: kind(**_fields_of(section, values)) for section, kind in sections().items()}
    settings = Settings(**parts, config_files=files)
    _raise_if_any(_contradictions(settings))
    return settings


def _fields_of(section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    ours = (setting for name, setting in catalog().items() if setting.section == section and name in values)
    return {setting.field: values[setting.name] for setting in ours}


def _usual_files(environ: Mapping[str, str], flags: Mapping[str, object]) -> tuple[Path, ...]:
    """The data folder is the one that flag, variable or default name: a file cannot move the search for itself."""
    named = flags.get("--data-dir") or environ.get("SWARM_HOST_DATA_DIR") or ""
    places = (resolve_data_dir(str(named)) / CONFIG_NAME, Path(CONFIG_NAME))
    # os.path.isfile, because Path.is_file raises where a folder may not be entered.
    return tuple(dict.fromkeys(path.absolute() for path in places if os.path.isfile(path)))


def _checked(given: Iterable[Given | Problem]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    problems: list[str] = []
    for entry in given:
        match entry:
            case Problem(text):
                problems.append(text)
            case Given(setting, value, origin, is_text):
                try:
                    values[setting.name] = check(setting, value, is_text=is_text)
                except ConfigError as error:
                    problems.append(f"{origin}: {error}")
    _raise_if_any(problems)
    return values


def _contradictions(settings: Settings) -> Iterator[str]:
    engine, membership = settings.engine, settings.membership
    if engine.restart_min_s > engine.restart_max_s:
        yield "engine.restart_min_s must not be above engine.restart_max_s"
    if membership.dead_after_s <= membership.probe_every_s:
        yield "membership.dead_after_s must be above membership.probe_every_s, or every peer is dead between two probes"


def _raise_if_any(problems: Iterable[str]) -> None:
    if lines := list(problems):
        raise ConfigError("\n".join(lines))
