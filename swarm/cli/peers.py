"""`peers`: the table of peers of the running daemon."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import click

from swarm.cli.grouped_help import GroupedOption
from swarm.cli.settings_of import settings_of
from swarm.domain.errors import ConfigError
from swarm.domain.nodes import Endpoint, PeerInfo

DEFAULT_PORT = 17615
SHORT_ID = 8
HEADINGS = ("NAME", "ID", "ADDRESS", "STANDING", "STATE", "MODEL", "BLOCKS", "ROUND TRIP", "VERSION", "PROBLEM")


@click.command(short_help="Show the peers of the running daemon.")
@click.option("--json", "as_json", is_flag=True, help="All that is known of them, for programs.")
@click.option("--url", metavar="URL", help="Of the daemon's API, such as http://192.168.1.20:17615.")
@click.option("--data-dir", cls=GroupedOption, metavar="FOLDER", help="As the daemon's.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="Read this file and no other one.")
@click.pass_context
def peers(context: click.Context, /, as_json: bool, url: str | None, **_: object) -> int:
    """Shows the peers of the daemon that runs on this machine, or at --url."""
    named = None if url is None else endpoint_of(url)
    settings = settings_of(context)
    # Imported here: it takes longer to import than --help may take.
    from swarm.app.doctor import running_peers
    from swarm.wire.codec import to_plain

    endpoint, table = running_peers(settings, named)
    if as_json:
        click.echo(json.dumps(to_plain(table), indent=1))
    else:
        click.echo(peer_table(table.peers) or f"{table.self.name} at {endpoint} sees no peer; see: main.py doctor")
    return 0


def endpoint_of(url: str) -> Endpoint:
    """Raises `ConfigError`."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if parts.scheme != "http" or not host:
        raise ConfigError(f"--url {url!r} is not the address of a daemon: write it as http://192.168.1.20:17615")
    return Endpoint(host, port or DEFAULT_PORT)


def peer_table(rows: Iterable[PeerInfo]) -> str:
    """Columns as wide as their longest cell; nothing where there is no row."""
    cells = [_cells(row) for row in rows]
    return columns(HEADINGS, cells) if cells else ""


def columns(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """A table for people."""
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    return "\n".join(_line(row, widths) for row in (headings, *cells))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _cells(peer: PeerInfo) -> tuple[str, ...]:
    status = peer.status
    trip = "-" if peer.round_trip_s is None else f"{peer.round_trip_s * 1000:.1f} ms"
    known = (
        ("-", "-", "-", "-")
        if status is None
        else (status.state, status.model.id if status.model else "-", str(status.blocks or "-"), status.version)
    )
    state, model, blocks, version = known
    name = status.name if status else "-"
    problem = peer.problem or (status.problem if status else None) or "-"
    short = peer.node[:SHORT_ID]
    return name, short, str(peer.endpoint), peer.standing, state, model, blocks, trip, version, problem
