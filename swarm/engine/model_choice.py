"""Which model to load, and why, when nobody said. Reads folders; loads nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

DEMO_ID = "swarm-demo"
MEMORY_SHARE = 0.5
"""Of the free memory, what a model that nobody asked for may take."""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """`path` is a folder or a hub name; `id` is what clients call it."""

    path: str
    id: str
    why: str
    from_cache: bool = False
    digest: str = ""
    """Of a folder that other nodes fill: its weight files have holes until the worker asks."""
    is_stopgap: bool = False
    """Nobody asked for it, and it is here only because nothing else is."""

    @property
    def chosen(self) -> str:
        """Its name, where somebody chose it."""
        return "" if self.is_stopgap else self.id

    @property
    def remembered(self) -> str:
        """What finds it again at the next start, when the demo's folder or the cached revision may be another."""
        if self.id == DEMO_ID:
            return "demo"
        return self.id if self.from_cache else self.path


@dataclass(frozen=True, slots=True)
class CachedModel:
    name: str
    folder: Path
    size_bytes: int


def demo_folder() -> Path:
    return Path(str(files("swarm") / "demo_model"))


def hub_cache_of(configured: str, environ: Mapping[str, str]) -> Path:
    """Where the hub's own library keeps its files, unless a folder is configured."""
    home = environ.get("HF_HOME") or f"{environ.get('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    chosen = configured or environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE") or f"{home}/hub"
    return Path(chosen).expanduser().absolute()


def choose_model(wanted: str, last_used: str | None, hub_cache: Path, free_bytes: int) -> ModelChoice:
    """`wanted` as in the settings. What nobody asked for is taken from this machine as it is, without the hub."""
    if wanted != "auto":
        choice = _named(wanted, "as asked")
        return choice if Path(choice.path).is_absolute() else cached_or_named(wanted, choice.why, hub_cache)
    cached = cached_models(hub_cache)
    if last_used and (again := _again(last_used, cached, hub_cache)):
        return again
    fitting = [model for model in cached if model.size_bytes <= free_bytes * MEMORY_SHARE]
    if fitting:
        largest = max(fitting, key=lambda model: (model.size_bytes, model.name))
        return _from_cache(largest, "the largest model in the cache that fits in half of the memory")
    return replace(_named("demo", "no other model is configured or in the cache"), is_stopgap=True)


def cached_or_named(name: str, why: str, hub_cache: Path) -> ModelChoice:
    """What is whole in the cache needs no hub and no other node; any other name is left to be found."""
    cached = (_from_cache(model, why) for model in cached_models(hub_cache) if model.name == name)
    return next(cached, ModelChoice(name, name, why))


def _again(last_used: str, cached: list[CachedModel], hub_cache: Path) -> ModelChoice | None:
    """None where it is gone."""
    why = "used last time"
    if last_used in ("demo", DEMO_ID) or Path(last_used).expanduser().is_dir():
        return _named(last_used, why)
    if (hub_cache / f"models--{last_used.replace('/', '--')}" / "swarm").is_dir():
        return ModelChoice(last_used, last_used, why, from_cache=True)  # Fetched in part: its nodes are asked again.
    return next((_from_cache(model, why) for model in cached if model.name == last_used), None)


def _from_cache(model: CachedModel, why: str) -> ModelChoice:
    return ModelChoice(str(model.folder), model.name, why, from_cache=True)


def _named(name: str, why: str) -> ModelChoice:
    if name in ("demo", DEMO_ID):
        return ModelChoice(str(demo_folder()), DEMO_ID, why)
    folder = Path(name).expanduser()
    return (
        ModelChoice(str(folder.resolve()), folder.resolve().name, why)
        if folder.is_dir()
        else ModelChoice(name, name, why)
    )


def cached_models(hub_cache: Path) -> list[CachedModel]:
    """Decoder-only checkpoints in Hugging Face's cache (`models--ORG--NAME/snapshots/REVISION`)."""
    if not hub_cache.is_dir():
        return []
    return sorted(_complete(hub_cache), key=lambda model: model.name)


def _complete(hub_cache: Path) -> Iterator[CachedModel]:
    for entry in hub_cache.glob("models--*"):
        for folder in entry.glob("snapshots/*"):
            weights = _weight_files(folder)
            if weights and _is_decoder_only(folder / "config.json") and all(file.exists() for file in weights):
                name = entry.name.removeprefix("models--").replace("--", "/")
                yield CachedModel(name, folder, sum(file.stat().st_size for file in weights))
                break


def _weight_files(folder: Path) -> list[Path]:
    """By the index where there is one: a download that was broken off has only some of them."""
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return list(folder.glob("*.safetensors"))
    try:
        return [folder / name for name in sorted(set(json.loads(index.read_text())["weight_map"].values()))]
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        return []


def _is_decoder_only(config: Path) -> bool:
    try:
        architectures = json.loads(config.read_text()).get("architectures") or []
    except (OSError, ValueError, AttributeError):
        return False
    return any(str(name).endswith("ForCausalLM") for name in architectures)
