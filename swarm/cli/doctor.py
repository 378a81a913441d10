"""`doctor`: what is wrong between this machine and the others, and what mends it."""

from __future__ import annotations

from pathlib import Path

import click

from swarm.cli.grouped_help import GroupedOption
from swarm.cli.settings_of import settings_of

HELP = """Says why machines do not see each other, and the command that mends it.

Give it the options that the daemon is started with. It works while the daemon runs, and without. The exit code is 1
where there is a problem."""


@click.command(help=HELP, short_help="Say why machines do not see each other, and what mends it.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--host", cls=GroupedOption, metavar="ADDRESS", help="As the daemon's.")
@click.option("--port", cls=GroupedOption, type=click.IntRange(0, 65535), metavar="PORT", help="As the daemon's.")
@click.option("--peer", cls=GroupedOption, multiple=True, metavar="HOST:PORT", help="Another machine; may be repeated.")
@click.option("--data-dir", cls=GroupedOption, metavar="FOLDER", help="As the daemon's.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="Read this file and no other one.")
@click.pass_context
def doctor(context: click.Context, /, as_json: bool, **_: object) -> int:
    settings = settings_of(context)
    # Imported here: the doctor's libraries take longer to import than --help may take.
    from swarm.app.doctor import diagnose
    from swarm.doctor import report

    findings = diagnose(settings)
    click.echo(report.as_json(findings) if as_json else report.as_text(findings))
    return report.exit_code(findings)
