"""The composition root: builds, joins, starts, stops."""

from __future__ import annotations

import asyncio

from swarm.app.daemon import Daemon
from swarm.app.signals import stop_requested
from swarm.config.settings import Settings
from swarm.host.folders import open_data_folder, resolve_data_dir


def run(settings: Settings) -> int:
    """The daemon, until it is told to stop; its exit code. Raises `ConfigError` for what the operator must mend."""
    with open_data_folder(resolve_data_dir(settings.host.data_dir)) as folder:
        asyncio.run(_serve(Daemon(settings, folder)))
    return 0


async def _serve(daemon: Daemon) -> None:
    with stop_requested(on_second=daemon.kill_worker) as stop:
        await daemon.serve(stop)
