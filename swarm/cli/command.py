"""The command line. Whatever a person writes wrongly ends in one message and exit code 2, never in a traceback."""

from __future__ import annotations

import logging

import click

from swarm.cli.doctor import doctor
from swarm.cli.grouped_help import DaemonGroup
from swarm.cli.models import models
from swarm.cli.options import PROGRAM, daemon_options
from swarm.cli.peers import peers
from swarm.cli.settings_of import settings_of
from swarm.cli.texts import EPILOG, HELP, SHORT_HELP
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


daemon.add_command(doctor)
daemon.add_command(models)
daemon.add_command(peers)


def _start(context: click.Context) -> int:
    # Imported here: validation and the daemon itself take longer to import than --help may take.
    from swarm.config.settings import Settings
    from swarm.host.logs import set_up_logging

    settings = settings_of(context)
    if settings == Settings() and not _is_anything_given(context):
        click.echo(SHORT_HELP, err=True)
        return USAGE_EXIT
    set_up_logging(settings.log.level, settings.log.format)
    files = [str(path) for path in settings.config_files]
    logger.info("the configuration was read", extra={"fields": {"files": files or "none, defaults"}})
    from swarm.app import run

    return run(settings)


def _is_anything_given(context: click.Context) -> bool:
    return any(value not in (None, ()) for value in context.params.values())
