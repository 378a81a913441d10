"""The last votes, for people who want to know why an answer was chosen."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from swarm.domain.federation import DecisionRecord, FederationResult
from swarm.domain.generation import GenerationRequest, Prompt
from swarm.ports.clock import Clock

KEPT = 300
SHOWN_CHARS = 2000
"""Of a prompt and of an answer, where they are kept at all."""


class DecisionLog:
    """The newest are kept; without `keeps_texts` neither prompt nor any answer."""

    def __init__(self, clock: Clock, keeps_texts: bool) -> None:
        self._clock, self._keeps_texts = clock, keeps_texts
        self._records: deque[DecisionRecord] = deque(maxlen=KEPT)

    def add(self, request: GenerationRequest, result: FederationResult, seconds: float) -> None:
        texts = self._keeps_texts
        self._records.append(
            DecisionRecord(
                request=request.id,
                at=self._clock.wall(),
                seconds=seconds,
                strategy=result.strategy,
                winner=result.winner.node,
                model=result.winner.model,
                agreement=result.agreement,
                margin=result.margin,
                decided=result.decided,
                reason=result.reason,
                ballots=result.ballots if texts else tuple(replace(ballot, answer="") for ballot in result.ballots),
                prompt=_last_words(request.prompt)[:SHOWN_CHARS] if texts else None,
                answer=result.winner.text[:SHOWN_CHARS] if texts else None,
            )
        )

    def newest_first(self) -> tuple[DecisionRecord, ...]:
        return tuple(reversed(self._records))


def _last_words(prompt: Prompt) -> str:
    """What was asked last, of a conversation."""
    return prompt[-1].content if isinstance(prompt, tuple) else prompt if isinstance(prompt, str) else ""
