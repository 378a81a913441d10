"""How a vote is getting on, in words, for whoever waits for its answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from swarm.federation.collecting import Collected
from swarm.federation.rules import VoteRules
from swarm.federation.tally import tally
from swarm.ports.clock import Clock

FIRST_WORDS_AFTER_S = 0.25
"""By then nodes that refuse have refused, so that the caller can still be told so by a status; it waits no longer
for the sign that its request was taken."""


class Progress:
    def __init__(self, asked: int) -> None:
        self._asked = asked
        self._words: asyncio.Queue[str | None] = asyncio.Queue()

    def heard(self, collected: Collected, rules: VoteRules) -> None:
        """After each answer or failure."""
        counted = tally(collected.votes, rules)
        if counted.clusters:
            answered = len({entry.vote.node for entry in counted.entries})
            self._say(answered, len(counted.clusters[0].nodes))

    def _say(self, answered: int, leader: int) -> None:
        self._words.put_nowait(f"swarm {answered}/{self._asked} answered, leader {leader}")

    async def until(self, voting: asyncio.Task[Any], clock: Clock) -> AsyncGenerator[str, None]:
        """Something soon, then each change, until the vote has ended."""
        voting.add_done_callback(lambda _: self._words.put_nowait(None))
        timer = asyncio.create_task(self._first_words(clock), name="first words of a vote")
        try:
            while (words := await self._words.get()) is not None:
                yield words
        finally:
            timer.cancel()
            await asyncio.gather(timer, return_exceptions=True)

    async def _first_words(self, clock: Clock) -> None:
        await clock.sleep(FIRST_WORDS_AFTER_S)
        self._say(0, 0)
