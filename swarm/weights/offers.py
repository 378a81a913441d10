"""What strangers offer, checked, and which of several offers is taken. Pure."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from swarm.domain.errors import PeerError
from swarm.domain.ids import NodeId
from swarm.domain.weights import OfferedFile, WeightsOffer
from swarm.weights.pieces import DIGEST, SIZE_LIMIT

MODEL_NAME = re.compile(r"(?!.*(--|\.\.))[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?", re.ASCII)
"""What the hub allows as the name of a model, with or without an organisation."""
FILE_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,200}\.(?:safetensors|json|jinja|model)", re.ASCII)
"""Weights, settings and tokenizers, all of them data: no pickles, no code, no folders."""
REVISION = re.compile(r"[0-9a-f]{40}")
MOST_FILES = 4096
SMALL_BYTES = 2**28
"""Of a file that is not weights: the largest tokenizers have some 30 MiB."""


def is_weights(name: str) -> bool:
    return name.endswith(".safetensors")


def check_offer(offer: WeightsOffer, model_id: str) -> WeightsOffer:
    """Raises `PeerError` where a part of it could not be true, or would be dangerous to follow."""
    names = [file.name for file in offer.files]
    problem = (
        "it is another model"
        if offer.model_id != model_id or not MODEL_NAME.fullmatch(model_id)
        else "it names no model"
        if not re.fullmatch(r"[\w.-]{1,128}", offer.model_digest, re.ASCII) or not REVISION.fullmatch(offer.revision)
        else "its list of files is too long or names one twice"
        if len(names) > MOST_FILES or len(set(names)) != len(names)
        else "it is no checkpoint"
        if "config.json" not in names or not any(map(is_weights, names))
        else next(filter(None, map(_problem_of, offer.files)), None)
    )
    if problem:
        raise PeerError(f"The offer of {model_id!r} is refused: {problem}.")
    return offer


def _problem_of(file: OfferedFile) -> str | None:
    if not FILE_NAME.fullmatch(file.name):
        return f"{file.name[:40]!r} is no file of a checkpoint"
    limit = SIZE_LIMIT if is_weights(file.name) else SMALL_BYTES
    if not 0 < file.size <= limit or not DIGEST.fullmatch(file.digest):
        return f"{file.name} has no size or digest that could be true"
    return None


def content_digest(offer: WeightsOffer) -> str:
    """The same for two offers if and only if they offer the same files."""
    lines = sorted(f"{file.name} {file.size} {file.digest}" for file in offer.files)
    return hashlib.sha256("\n".join([offer.model_digest, *lines]).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Choice:
    offer: WeightsOffer
    others: tuple[NodeId, ...]
    """Nodes that offer other weights under the same name."""


def choose_offer(offers: Mapping[NodeId, WeightsOffer], served: Iterable[str]) -> Choice:
    """The model that most nodes serve under that name, and of it the files that most offer. `served`: the digest of
    each node's model. A tie goes to the lower digest, so that all who choose at once choose alike."""
    voices = Counter(served)
    kept = _most({offer.model_digest: voices[offer.model_digest] for offer in offers.values()})
    same = [offer for offer in offers.values() if offer.model_digest == kept]
    contents = Counter(map(content_digest, same))
    content = _most(contents)
    chosen = min((offer for offer in same if content_digest(offer) == content), key=lambda offer: offer.revision)
    others = tuple(sorted(node for node, offer in offers.items() if offer.model_digest != kept))
    return Choice(chosen, others)


def _most(counts: Mapping[str, int]) -> str:
    return min(counts, key=lambda digest: (-counts[digest], digest))


def choose_model_of_swarm(models: Sequence[str]) -> str | None:
    """The model that most nodes serve, one entry a node; None where there is none that can be handed on."""
    counts = Counter(name for name in models if MODEL_NAME.fullmatch(name))
    return _most(counts) if counts else None
