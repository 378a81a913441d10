"""This node's judgement of others' answers: a favour, so it waits for nobody's slot and takes few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from swarm.domain.errors import RequestError, Unavailable
from swarm.domain.generation import Prompt, TextScore
from swarm.generation.admission import Admission
from swarm.ports.text_scorer import TextScorer

MOST_WAITING = 4
"""Requests to score that may wait for the one that is served; more are refused."""
RETRY_AFTER_S = 1.0


class LocalScores:
    """One request at a time, and none while requests for answers wait for a slot."""

    def __init__(self, scorer: TextScorer, admission: Admission) -> None:
        self._scorer, self._admission = scorer, admission
        self._one = asyncio.Lock()
        self._waiting = 0

    async def scores(self, prompt: Prompt, texts: Sequence[str]) -> tuple[TextScore | None, ...]:
        """In order; None for a text that cannot be scored. Raises `Unavailable` where this node is too busy."""
        if self._admission.load.waiting or self._waiting > MOST_WAITING:
            raise Unavailable("This node is too busy to judge answers now.", retry_after_s=RETRY_AFTER_S, busy=True)
        self._waiting += 1
        try:
            async with self._one:
                return tuple([await self._score(prompt, text) for text in texts])
        finally:
            self._waiting -= 1

    async def _score(self, prompt: Prompt, text: str) -> TextScore | None:
        try:
            return await self._scorer.score(prompt, text)
        except RequestError:
            return None
