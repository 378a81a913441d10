"""The command line. Whatever a person writes wrongly ends in one message and exit code 2, never in a traceback."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import click

from swarm.cli.grouped_help import DaemonGroup, GroupedOption
from swarm.cli.options import PROGRAM, daemon_options
from swarm.cli.texts import EPILOG, HELP, SHORT_HELP
from swarm.config.flags import SETTING_OF_FLAG
from swarm.domain.errors import ConfigError

logger = logging.getLogger(__name__)

USAGE_EXIT = 2
INTERRUPTED_EXIT = 130
"""What a shell reports of a program that Ctrl-C ended."""


def main(argv: list[str] | None = None) -> int:
    """The exit code. Errors that are not the operator's come through, with their traceback."""
    try:
        result = daemon.main(argv, prog_name=PROGRAM, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return USAGE_EXIT
    except ConfigError as error:
        click.echo("\n".join(f"error: {line}" for line in str(error).splitlines()), err=True)
        return USAGE_EXIT
    except click.Abort:
        return INTERRUPTED_EXIT
    return int(result or 0)


@click.group(
    cls=DaemonGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    subcommand_metavar="",
    help=HELP,
    epilog=EPILOG,
)
@daemon_options
@click.pass_context
def daemon(context: click.Context, /, **_: object) -> int:
    """Runs the daemon, unless a sub-command does the work."""
    return 0 if context.invoked_subcommand else _start(context)


def _start(context: click.Context) -> int:
    # Imported here: validation and the daemon itself take longer to import than --help may take.
    from swarm.config.load import load_settings
    from swarm.config.settings import Settings
    from swarm.host.logs import set_up_logging

    config_file: Path | None = context.params["config"]
    settings = load_settings(config_file, os.environ, _flags(context))
    if settings == Settings() and not _is_anything_given(context):
        click.echo(SHORT_HELP, err=True)
        return USAGE_EXIT
    set_up_logging(settings.log.level, settings.log.format)
    files = [str(path) for path in settings.config_files]
    logger.info("the configuration was read", extra={"fields": {"files": files or "none, defaults"}})
    from swarm.app import run

    return run(settings)


def _flags(context: click.Context) -> dict[str, object]:
    """What was written, by flag, for those that set a setting."""
    options = [option for option in context.command.params if isinstance(option, GroupedOption)]
    values = {option.flag: context.params[option.name] for option in options if option.name}
    # An option that may be repeated is an empty tuple where it was not given.
    return {flag: value for flag, value in values.items() if flag in SETTING_OF_FLAG and value not in (None, ())}


def _is_anything_given(context: click.Context) -> bool:
    return any(value not in (None, ()) for value in context.params.values())
