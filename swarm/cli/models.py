"""`models`: which models are on this machine, and how they come and go."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from swarm.cli.grouped_help import GroupedOption
from swarm.cli.peers import columns
from swarm.cli.settings_of import settings_of

if TYPE_CHECKING:
    from swarm.app.models import ModelRow

HELP = """Lists the models on this machine, how much of each is here and where, and which machines serve it.

Without a sub-command it lists."""
HEADINGS = ("NAME", "STATE", "ON DISK", "SERVED BY", "WHERE")
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@click.group(help=HELP, short_help="List, fetch, show and remove models.", invoke_without_command=True)
@click.option("--data-dir", cls=GroupedOption, metavar="FOLDER", help="As the daemon's.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="Read this file and no other one.")
@click.pass_context
def models(context: click.Context, /, **_: object) -> Any:
    return None if context.invoked_subcommand else context.invoke(list_models)


@models.command("list", short_help="What is here, and who serves it.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def list_models(context: click.Context, /, as_json: bool) -> int:
    """Lists the models on this machine."""
    # Imported here, as below: it takes longer to import than --help may take.
    from swarm.app.models import model_rows

    rows = model_rows(settings_of(context))
    click.echo(json.dumps([asdict(row) for row in rows], indent=1) if as_json else model_table(rows))
    return 0


@models.command(short_help="Where its bytes are.")
@click.argument("name")
@click.pass_context
def show(context: click.Context, /, name: str) -> int:
    """Shows the files of a model, how much of each is here, and where."""
    from swarm.app.models import named_model
    from swarm.weights.inventory import files_of

    model = named_model(settings_of(context), name)
    click.echo(f"{model.name}: {size(model.on_disk)} in {model.folder}")
    cells = [
        (str(file.path.relative_to(model.folder)), size(file.on_disk), size(file.size)) for file in files_of(model)
    ]
    click.echo(columns(("FILE", "HERE", "OF"), cells))
    return 0


@models.command(short_help="Fetch a model, from other machines or from the hub.")
@click.argument("name")
@click.pass_context
def pull(context: click.Context, /, name: str) -> int:
    """Fetches a whole model: from machines that the running daemon knows, else from the hub."""
    from swarm.app.models import pull as pull_model
    from swarm.host.console import ProgressBar

    bar = ProgressBar()
    try:
        source = pull_model(settings_of(context), name, bar.show)
    finally:
        bar.show(None)
    click.echo(f"{name} is here, from {source}")
    return 0


@models.command(short_help="Remove a model from the cache.")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def remove(context: click.Context, /, name: str, yes: bool) -> int:
    """Removes a model, with all that was fetched of it."""
    from swarm.app.models import named_model
    from swarm.app.models import remove as remove_model

    settings = settings_of(context)
    model = named_model(settings, name)
    if not yes:
        click.confirm(f"Remove {model.folder} with {size(model.on_disk)}?", abort=True, err=True)
    click.echo(f"{size(remove_model(settings, name))} are free again")
    return 0


def model_table(rows: Sequence[ModelRow]) -> str:
    cells = [(row.name, row.state, size(row.on_disk), ", ".join(row.nodes) or "-", row.where) for row in rows]
    return columns(HEADINGS, cells)


def size(count: int) -> str:
    """`1.2 GiB`."""
    power = min(max(count.bit_length() - 1, 0) // 10, len(UNITS) - 1)
    return f"{count} B" if power == 0 else f"{count / 1024**power:.1f} {UNITS[power]}"
