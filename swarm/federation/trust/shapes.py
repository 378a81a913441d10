"""What real requests look like from outside, without what they say: the mould for examination requests."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace

from swarm.domain.generation import ChatMessage, GenerationRequest, Sampling
from swarm.domain.ids import RequestId, Role
from swarm.federation.trust.questions import Question, question

KEPT = 64
ENOUGH_TOKENS = 64
"""Requests for fewer could not hold a worked answer."""
MOST_TURNS = 6
WARMEST = 1.0
"""Requests at a higher temperature want surprise, and right answers to them are luck."""
SYSTEM_TEXTS = (
    "You are a helpful assistant.",
    "You are a careful assistant. Keep answers short.",
    "Answer the user's questions.",
    "You are an assistant for a small office.",
)


@dataclass(frozen=True, slots=True)
class RequestShape:
    roles: tuple[Role, ...] | None
    """Of the messages in order; None for raw text."""
    sampling: Sampling
    """Without seed and stop texts."""
    model: str | None


PLAIN = RequestShape(("user",), Sampling(), None)


class RecentShapes:
    """The moulds of the last requests."""

    def __init__(self) -> None:
        self._shapes: deque[RequestShape] = deque(maxlen=KEPT)

    def note(self, request: GenerationRequest) -> None:
        shape = shape_of(request)
        if is_usable(shape):
            self._shapes.append(shape)

    def draw(self, rng: random.Random) -> RequestShape:
        return rng.choice(self._shapes or (PLAIN,))


def shape_of(request: GenerationRequest) -> RequestShape:
    roles = tuple(message.role for message in request.prompt) if isinstance(request.prompt, tuple) else None
    return RequestShape(roles, replace(request.sampling, seed=None, stop=()), request.model)


def is_usable(shape: RequestShape) -> bool:
    """Can an ordinary question be put in this mould?"""
    sampling = shape.sampling
    enough = sampling.max_tokens is None or sampling.max_tokens >= ENOUGH_TOKENS
    bent = sampling.logit_bias or sampling.stop_token_ids or sampling.ignore_eos or sampling.min_tokens
    is_plain = sampling.temperature <= WARMEST and not bent
    return enough and is_plain and (shape.roles is None or _is_dialogue(shape.roles))


def _is_dialogue(roles: tuple[Role, ...]) -> bool:
    turns = _without_system(roles)
    wanted = ("user", "assistant") * len(turns)
    return 0 < len(turns) <= MOST_TURNS and len(turns) % 2 == 1 and turns == wanted[: len(turns)]


def _without_system(roles: Iterable[Role]) -> tuple[Role, ...]:
    turns = list(roles)
    return tuple(turns[1:] if turns and turns[0] in ("system", "developer") else turns)


def examination(id: RequestId, shape: RequestShape, rng: random.Random) -> tuple[GenerationRequest, Question]:
    """A request in this mould that ends with a question whose answer is known."""
    asked = question(rng)
    prompt = f"Question: {asked.text}\nAnswer:" if shape.roles is None else _dialogue(shape.roles, asked, rng)
    return GenerationRequest(id, prompt, shape.sampling, shape.model), asked


def _dialogue(roles: tuple[Role, ...], last: Question, rng: random.Random) -> tuple[ChatMessage, ...]:
    """Earlier turns are questions and good answers of the same making."""
    turns = _without_system(roles)
    messages = [ChatMessage(roles[0], rng.choice(SYSTEM_TEXTS))] if len(turns) < len(roles) else []
    for _ in range(len(turns) // 2):
        earlier = question(rng)
        messages += [ChatMessage("user", earlier.text), ChatMessage("assistant", earlier.worked)]
    return (*messages, ChatMessage("user", last.text))
