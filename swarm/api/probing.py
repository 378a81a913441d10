"""Whether the model really answers: a token or two, computed when somebody asks for this node's health."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from swarm.domain.errors import SwarmError, Unavailable
from swarm.domain.tokens import ModelProbe
from swarm.ports.clock import Clock
from swarm.ports.model_tools import ModelTools
from swarm.wire.codec import to_plain

FRESH_S = 30.0
"""A probe counts for so long; with the time that it may take it is never older than a minute when it is told."""
LIMIT_S = 20.0


@dataclass(frozen=True, slots=True)
class ProbeResult:
    at: float
    probe: ModelProbe | None
    problem: str | None = None


class Prober:
    """However many ask at the same time, the model is probed once."""

    def __init__(self, tools: ModelTools, clock: Clock) -> None:
        self._tools, self._clock = tools, clock
        self._last: ProbeResult | None = None
        self._running: asyncio.Task[ProbeResult] | None = None

    async def facts(self) -> dict[str, Any]:
        """For the health reply. Raises `Unavailable` where the model made no token."""
        result = await self._result()
        if result.probe is None:
            raise Unavailable(f"The model made no token: {result.problem}")
        return {**to_plain(result.probe), "age_s": round(self._clock.now() - result.at, 3)}

    async def _result(self) -> ProbeResult:
        if self._last and self._last.probe and self._clock.now() - self._last.at < FRESH_S:
            return self._last
        if self._running is None:
            self._running = asyncio.create_task(self._probe(), name="health: probe")
            self._running.add_done_callback(self._ended)
        # Who asked first may leave; the others still wait for it.
        return await asyncio.shield(self._running)

    def _ended(self, _task: asyncio.Task[ProbeResult]) -> None:
        self._running = None

    async def _probe(self) -> ProbeResult:
        try:
            async with asyncio.timeout(LIMIT_S):
                probe = await self._tools.probe()
        except TimeoutError:
            self._last = ProbeResult(self._clock.now(), None, f"none came within {LIMIT_S:g} s")
        except SwarmError as error:
            self._last = ProbeResult(self._clock.now(), None, str(error))
        else:
            self._last = ProbeResult(self._clock.now(), probe)
        return self._last
