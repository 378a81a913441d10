"""Where the daemon of a data folder is: written when its API is bound, read by the other commands."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swarm.discovery.static_peers import parse_endpoint
from swarm.domain.errors import ConfigError
from swarm.domain.nodes import Endpoint
from swarm.host.folders import DataFolder

logger = logging.getLogger(__name__)

API = "api"
"""In state.json: HOST:PORT of the API, as last bound."""


def update_state(folder: DataFolder, facts: Mapping[str, Any]) -> None:
    """Changes these keys of state.json and keeps the others. Waits for the disk; a full one is no reason to stop."""
    name = folder.state_path.name
    try:
        folder.write_json(name, {**(folder.read_json(name) or {}), **facts})
    except OSError as error:
        fields = {"path": str(folder.state_path), "problem": error.strerror}
        logger.warning("the state was not written; the next start will not know it", extra={"fields": fields})


def said_api(data_dir: Path) -> Endpoint | None:
    """None where no daemon ran there yet, or the file cannot be read. Changes nothing, unlike the daemon's reading."""
    try:
        state = json.loads(DataFolder(data_dir).state_path.read_bytes())
        return parse_endpoint(state[API])
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, ConfigError):
        return None
