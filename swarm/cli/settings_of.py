"""From the options that were written to settings; for the daemon and for the sub-commands."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from swarm.cli.grouped_help import GroupedOption
from swarm.config.flags import SETTING_OF_FLAG

if TYPE_CHECKING:
    from swarm.config.settings import Settings


def settings_of(context: click.Context) -> Settings:
    """Options before and after a sub-command's name count, those after it more. Raises `ConfigError`."""
    # Imported here: validation takes longer to import than --help may take.
    from swarm.config.load import load_settings

    parents = _parents(context)
    flags = {flag: value for each in (*parents, context) for flag, value in _flags(each).items()}
    files: list[Path | None] = [each.params.get("config") for each in (context, *reversed(parents))]
    return load_settings(next(filter(None, files), None), os.environ, flags)


def _parents(context: click.Context) -> list[click.Context]:
    """Outermost first."""
    return [] if context.parent is None else [*_parents(context.parent), context.parent]


def _flags(context: click.Context) -> dict[str, object]:
    """What was written, by flag, for those that set a setting."""
    options = [option for option in context.command.params if isinstance(option, GroupedOption)]
    values = {option.flag: context.params[option.name] for option in options if option.name}
    # An option that may be repeated is an empty tuple where it was not given.
    return {flag: value for flag, value in values.items() if flag in SETTING_OF_FLAG and value not in (None, ())}
