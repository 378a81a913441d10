"""The models that this node can name to clients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from swarm.domain.errors import RequestError
from swarm.domain.nodes import ModelInfo, NodeStatus, PeerInfo, statuses_of_living


def known_models(status: NodeStatus, peers: Sequence[PeerInfo]) -> tuple[ModelInfo, ...]:
    """What can be answered now: this node's own first, then what living peers answer with; each name once."""
    models: dict[str, ModelInfo] = {}
    for holder in (status, *statuses_of_living(peers)):
        if holder.can_answer and holder.model is not None:
            models.setdefault(holder.model.id, holder.model)
    return tuple(models.values())


def no_such_model(name: str, why: str) -> RequestError:
    message = f"The model {name!r} does not exist here; {why}. GET /v1/models lists those that do."
    return RequestError(message, param="model", code="model_not_found", status=404)


def model_body(model: ModelInfo, *, loaded: bool = True) -> dict[str, Any]:
    """`max_model_len` is vLLM's word, and the one way by which clients learn how much fits."""
    return {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": "local-swarm",
        "max_model_len": model.context_tokens,
        "digest": model.digest,
        "loaded": loaded,
    }
