"""`models`, put together: what is in the cache, what the running daemon and its peers serve, how a model is fetched."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from swarm.app.doctor import running_peers
from swarm.app.node_weights import build_weights
from swarm.config.settings import Settings
from swarm.domain.errors import ConfigError, SwarmError
from swarm.domain.nodes import NodeStatus, PeerInfo, Progress, statuses_of_living
from swarm.domain.weights import FileRange
from swarm.engine.model_choice import DEMO_ID, cached_models, demo_folder, hub_cache_of
from swarm.host.clock import SystemClock
from swarm.host.folders import DataFolder, resolve_data_dir
from swarm.host.identity import load_identity
from swarm.weights.inventory import StoredModel, remove_model, stored_model, stored_models
from swarm.weights.offers import MODEL_NAME

HUB_FILES = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")
"""What a checkpoint is opened with; weights in other formats stay where they are."""


@dataclass(frozen=True, slots=True)
class ModelRow:
    name: str
    state: str
    on_disk: int
    """Bytes."""
    where: str
    nodes: tuple[str, ...]
    """Names of the machines that serve it now."""


def model_rows(settings: Settings) -> list[ModelRow]:
    """Of this machine, and those that its daemon's peers serve, where one runs."""
    cache = cache_of(settings)
    whole = {model.name for model in cached_models(cache)}
    serving = _serving(settings)
    size = sum(path.stat().st_size for path in demo_folder().iterdir() if path.is_file())
    rows = [ModelRow(DEMO_ID, "whole", size, str(demo_folder()), _names(serving, DEMO_ID))]
    rows += [
        ModelRow(model.name, _state(model, whole), model.on_disk, str(model.folder), _names(serving, model.name))
        for model in stored_models(cache)
    ]
    known = {row.name for row in rows}
    others = dict.fromkeys(node.model.id for node in serving if node.model and node.model.id not in known)
    return [*rows, *(ModelRow(name, "on other machines", 0, "-", _names(serving, name)) for name in others)]


def cache_of(settings: Settings) -> Path:
    return hub_cache_of(settings.engine.hub_cache, os.environ)


def named_model(settings: Settings, name: str) -> StoredModel:
    """Raises `ConfigError` where it is not in the cache."""
    model = stored_model(cache_of(settings), name)
    if model is None:
        raise ConfigError(f"{name} is not in the cache at {cache_of(settings)}; python main.py models lists what is")
    return model


def remove(settings: Settings, name: str) -> int:
    """The bytes that are free now. Raises `ConfigError`."""
    model, table = named_model(settings, name), _running(settings)
    if table is not None and name in (table[0].chosen, table[0].model.id if table[0].model else ""):
        raise ConfigError(f"{name} is in use by the daemon that runs here; stop it first")
    try:
        remove_model(model)
    except OSError as error:
        raise ConfigError(f"{model.folder} cannot be removed: {error.strerror or error}") from None
    return model.on_disk


def pull(settings: Settings, name: str, tell: Callable[[Progress], None]) -> str:
    """From other nodes where one has it, else from the hub; says where from. Raises `ConfigError`."""
    if not MODEL_NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is not the name of a model: write it as ORG/NAME")
    table = _running(settings)
    if table is not None and name in (table[0].chosen, table[0].wanted):
        raise ConfigError(f"{name} is what the daemon that runs here serves or fetches; it needs no pull")
    try:
        if table is not None and asyncio.run(_from_nodes(settings, table[1], name, tell)):
            return "other machines"
    except SwarmError as error:
        raise ConfigError(f"{name} could not be fetched from other machines: {error}") from None
    _from_hub(cache_of(settings), name)
    return "the hub"


async def _from_nodes(
    settings: Settings, peers: tuple[PeerInfo, ...], name: str, tell: Callable[[Progress], None]
) -> bool:
    folder = DataFolder(resolve_data_dir(settings.host.data_dir))
    node = load_identity(folder.identity_path).node
    cache = cache_of(settings)
    weights = build_weights(settings, node, cache, folder, lambda: peers, lambda _: None, SystemClock())
    async with weights.link:
        found = await weights.store.find(name, tell, asks_hub=False)
        if found is None:
            return False
        files = await asyncio.to_thread(_sizes, found.folder)
        await weights.store.fill(found.folder, [FileRange(file, 0, size) for file, size in files], tell)
        await weights.store.keep()
    return True


def _sizes(folder: Path) -> list[tuple[str, int]]:
    return [(path.name, path.stat().st_size) for path in folder.iterdir() if path.is_file()]


def _from_hub(cache: Path, name: str) -> None:
    # Imported here: it takes long, and most commands do not need it.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        snapshot_download(name, cache_dir=cache, allow_patterns=list(HUB_FILES))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise ConfigError(
            f"no other machine here has {name}, and the hub did not give it: {type(error).__name__}"
        ) from None


def _running(settings: Settings) -> tuple[NodeStatus, tuple[PeerInfo, ...]] | None:
    try:
        table = running_peers(settings, None)[1]
    except ConfigError:
        return None
    return table.self, table.peers


def _serving(settings: Settings) -> list[NodeStatus]:
    table = _running(settings)
    if table is None:
        return []
    others = statuses_of_living(table[1])
    return [node for node in (table[0], *others) if node.model]


def _names(serving: Sequence[NodeStatus], model: str) -> tuple[str, ...]:
    return tuple(node.name for node in serving if node.model and node.model.id == model)


def _state(model: StoredModel, whole: set[str]) -> str:
    if model.name in whole:
        return "whole"
    if model.wanted:
        return f"{min(model.on_disk / model.wanted, 1):.0%} fetched"
    return "incomplete, or not a decoder-only model"
