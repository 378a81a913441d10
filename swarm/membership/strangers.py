"""What others say of themselves, made fit to be kept, logged and shown. Their numbers are claims, never trusted."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import replace

from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import LAYERS_LIMIT, Coverage, Endpoint, Load, ModelInfo, NodeStatus, PeerInfo, Stretch

TEXT_LIMIT = 64
"""Characters; fits one line of a log and one cell of a table."""
SENTENCE_LIMIT = 300
ID_LIMIT = 64
MOST_INSTANCES = 16
MOST_SPANS = 64
MOST_ADDRESSES = 16
MOST_NODES = 1024
MOST_ANSWERS = 10_000
"""Of anything that a node can do at the same time."""
MOST_COUNTED = 2**53
"""Of anything that only grows: what a page's script can count to, and msgpack, which ends at 2**64, can carry."""


def clean_text(text: str, limit: int = TEXT_LIMIT) -> str:
    """Without control and separator characters, which forge log lines or hide text. HTML escaping comes on top."""
    kept = text[:limit]
    return "".join(
        character if character == " " or unicodedata.category(character)[0] not in "CZ" else "\ufffd"
        for character in kept
    )


def sound_text(text: str) -> str:
    """All of it, but without the lone surrogates that JSON can hold and no encoder takes."""
    return text.encode("utf-8", "replace").decode()


def is_node_id(text: str) -> bool:
    return 0 < len(text) <= ID_LIMIT and text.isascii() and text.isalnum()


def clean_status(status: NodeStatus) -> NodeStatus:
    """The same status with its texts cleaned and cut, its numbers inside what they can mean, and without its news."""
    return replace(
        status,
        name=clean_text(status.name),
        version=clean_text(status.version),
        protocol=_within(status.protocol, 0, MOST_COUNTED),
        hardware=clean_text(status.hardware, SENTENCE_LIMIT),
        instances=_within(status.instances, 1, MOST_INSTANCES),
        load=_clean_load(status.load),
        model=_clean_model(status.model),
        missing=status.missing[:MOST_SPANS],
        coverage=_clean_coverage(status.coverage),
        problem=None if status.problem is None else clean_text(status.problem, SENTENCE_LIMIT),
        progress=None
        if status.progress is None
        else replace(status.progress, what=clean_text(status.progress.what, SENTENCE_LIMIT)),
        chain_addresses=tuple(
            clean_text(address, SENTENCE_LIMIT) for address in status.chain_addresses[:MOST_ADDRESSES]
        ),
        requests=_within(status.requests, 0, MOST_COUNTED),
        tokens=_within(status.tokens, 0, MOST_COUNTED),
        tokens_per_s=_speed(status.tokens_per_s),
        news=(),
    )


def clean_peer(peer: PeerInfo) -> PeerInfo:
    """A row of another node's table, fit to be printed."""
    return replace(
        peer,
        node=NodeId(clean_text(peer.node)),
        boot=BootId(clean_text(peer.boot)),
        endpoint=Endpoint(clean_text(peer.endpoint.host, SENTENCE_LIMIT), peer.endpoint.port),
        status=None if peer.status is None else clean_status(peer.status),
        problem=None if peer.problem is None else clean_text(peer.problem, SENTENCE_LIMIT),
    )


def is_boot_id(text: str) -> bool:
    return 0 < len(text) <= ID_LIMIT and text.isascii() and text.isprintable()


def node_of(status: NodeStatus) -> NodeId | None:
    """None where what it calls itself, or its run, cannot be an id."""
    return status.node if is_boot_id(status.boot) and is_node_id(status.node) else None


def _clean_load(load: Load) -> Load:
    return Load(
        running=_within(load.running, 0, MOST_ANSWERS),
        waiting=_within(load.waiting, 0, MOST_ANSWERS),
        slots=_within(load.slots, 1, MOST_ANSWERS),
        queue_limit=_within(load.queue_limit, 0, MOST_ANSWERS),
    )


def _clean_coverage(coverage: Coverage | None) -> Coverage | None:
    if coverage is None:
        return None
    stretches = tuple(
        Stretch(stretch.span, _within(stretch.nodes, 0, MOST_NODES)) for stretch in coverage.stretches[:MOST_SPANS]
    )
    return Coverage(stretches, _within(coverage.block_bytes, 0, MOST_COUNTED))


def _clean_model(model: ModelInfo | None) -> ModelInfo | None:
    if model is None:
        return None
    return ModelInfo(
        id=clean_text(model.id, SENTENCE_LIMIT),
        digest=clean_text(model.digest, SENTENCE_LIMIT),
        layers=_within(model.layers, 0, LAYERS_LIMIT),
        context_tokens=_within(model.context_tokens, 0, MOST_COUNTED),
        created=_within(model.created, 0, MOST_COUNTED),
    )


def _speed(tokens_per_s: float | None) -> float | None:
    return tokens_per_s if tokens_per_s is not None and math.isfinite(tokens_per_s) and tokens_per_s > 0 else None


def _within(number: int, low: int, high: int) -> int:
    return min(max(number, low), high)
