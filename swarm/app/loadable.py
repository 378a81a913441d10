"""Models that are here and not loaded, as far as can be told without opening them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from swarm.domain.nodes import ModelInfo
from swarm.engine.model_choice import ModelChoice, cached_models, choose_model

DEMO = "demo"


class Loadable:
    """The models that can be loaded by name: the demo, the configured one, and those that are whole in the cache."""

    def __init__(self, configured: ModelChoice, cache: Path) -> None:
        self._configured, self._cache = configured, cache

    def find(self, name: str) -> ModelChoice | None:
        """Blocks."""
        return next((choice for choice in self._choices() if choice.id == name), None)

    def infos(self) -> Sequence[ModelInfo]:
        """Blocks. As far as can be told without opening them."""
        return [_info(choice) for choice in self._choices()]

    def _choices(self) -> list[ModelChoice]:
        """Each name once."""
        why = "a request named it"
        found = cached_models(self._cache)
        cached = [ModelChoice(str(model.folder), model.name, why, from_cache=True) for model in found]
        demo = choose_model(DEMO, None, self._cache, 0)
        here = [self._configured] if Path(self._configured.path).is_dir() else []
        by_name: dict[str, ModelChoice] = {}
        for choice in (*here, demo, *cached):
            by_name.setdefault(choice.id, choice)
        return list(by_name.values())


def _info(choice: ModelChoice) -> ModelInfo:
    config = Path(choice.path) / "config.json"
    try:
        told: dict[str, Any] = json.loads(config.read_text())
        created = int(config.stat().st_mtime)
    except (OSError, ValueError):
        told, created = {}, 0
    layers, context = told.get("num_hidden_layers"), told.get("max_position_embeddings")
    return ModelInfo(
        choice.id, "", layers if isinstance(layers, int) else 0, context if isinstance(context, int) else 0, created
    )
