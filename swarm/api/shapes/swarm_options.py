"""What a body says about the swarm: our own addition to OpenAI's parameters."""

from __future__ import annotations

from typing import get_args

from swarm.api.shapes.base import Shape, refusal
from swarm.api.shapes.sampling import TokenId
from swarm.domain.generation import Resume
from swarm.domain.ids import StrategyName

STRATEGY_NAMES: tuple[StrategyName, ...] = get_args(StrategyName)


class ResumeShape(Shape):
    tokens: list[TokenId]
    model_digest: str


class SwarmOptions(Shape):
    strategy: StrategyName | None = None
    federation: bool | None = None
    """False: this node answers without a vote."""
    resume: ResumeShape | None = None
    """Of an answer that another node began; nodes say it to each other."""


class SwarmShape(Shape):
    """Mixed into the bodies of requests for answers."""

    model: str | None = None
    """Empty or absent: whatever is served. `NAME:best_of_n` also chooses the strategy."""
    swarm: SwarmOptions | None = None
    strategy: StrategyName | None = None


def federation_of(body: SwarmShape, default: StrategyName) -> tuple[StrategyName | None, bool]:
    """The strategy that the body chooses, and whether it wants no other node to be asked. Raises `RequestError`."""
    options = body.swarm or SwarmOptions()
    strategy = options.strategy or body.strategy
    if options.federation is False and strategy is not None:
        raise refusal(("swarm", "strategy"), "cannot be used together with `swarm.federation`: false.")
    return strategy or (default if options.federation else None), options.federation is False


def resume_of(body: SwarmShape, *, single: bool) -> Resume | None:
    """Raises `RequestError` where it is not for a `single` answer of one node alone."""
    told = body.swarm.resume if body.swarm else None
    if told is None:
        return None
    if not single:
        raise refusal(("swarm", "resume"), "is for one answer of one node.")
    return Resume(tuple(told.tokens), told.model_digest)


def split_model(name: str | None) -> tuple[str | None, StrategyName | None]:
    """`swarm-demo:best_of_n`, or with `@`, for clients that can set nothing but the model's name."""
    for mark in ":@":
        model, _, suffix = (name or "").rpartition(mark)
        for strategy in STRATEGY_NAMES:
            if strategy == suffix:
                return model or None, strategy
    return name or None, None
