"""This node's candidates for a vote, for its own federation and for a peer's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace

from swarm.domain.errors import BackendError, SwarmError
from swarm.domain.federation import PeerVote
from swarm.domain.generation import GenerationRequest, TextDelta
from swarm.domain.nodes import NodeStatus
from swarm.domain.seeds import derived_seed
from swarm.generation.whole_answer import calls_of
from swarm.ports.clock import Clock
from swarm.ports.text_source import TextSource


class LocalVotes:
    """Whole answers of this node, each with its own seed."""

    def __init__(self, source: TextSource, status: Callable[[], NodeStatus], clock: Clock) -> None:
        self._source, self._status, self._clock = source, status, clock

    async def votes(self, request: GenerationRequest, instances: int | None = None) -> tuple[PeerVote, ...]:
        """At least one candidate; one that failed carries its error. Raises the first error where all failed."""
        count = instances or self._status().instances
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._candidate(_nth(request, index)), name=f"candidate {index}")
                for index in range(max(count, 1))
            ]
        outcomes = [task.result() for task in tasks]
        errors = [outcome for outcome in outcomes if isinstance(outcome, SwarmError)]
        if len(errors) == len(outcomes):
            raise errors[0]
        return tuple(self._failed(outcome) if isinstance(outcome, SwarmError) else outcome for outcome in outcomes)

    async def _candidate(self, request: GenerationRequest) -> PeerVote | SwarmError:
        """An error is returned, not raised, so that it does not cancel the other candidates."""
        started = self._clock.now()
        try:
            async with aclosing(self._source.stream(request)) as stream:
                deltas = [delta async for delta in stream]
            return self._vote(deltas, self._clock.now() - started)
        except SwarmError as error:
            return error

    def _vote(self, deltas: list[TextDelta], latency_s: float) -> PeerVote:
        last = deltas[-1] if deltas else TextDelta()
        if last.usage is None or last.provenance is None:
            raise BackendError("The answer ended without usage or provenance; this is a bug in the engine.")
        tokens = sum(delta.tokens for delta in deltas)
        return PeerVote(
            node=self._status().node,
            text="".join(delta.text for delta in deltas),
            finish_reason=last.finish_reason,
            tokens=tokens,
            mean_logprob=sum(delta.logprob_sum for delta in deltas) / tokens if tokens else None,
            model=last.provenance.model,
            model_digest=last.provenance.model_digest,
            latency_s=latency_s,
            prompt_tokens=last.usage.prompt_tokens,
            tool_calls=calls_of(deltas),
            token_logprobs=tuple(told for delta in deltas for told in delta.token_logprobs),
            reasoning="".join(delta.reasoning for delta in deltas),
        )

    def _failed(self, error: SwarmError) -> PeerVote:
        status = self._status()
        return PeerVote(
            node=status.node,
            text="",
            finish_reason=None,
            tokens=0,
            mean_logprob=None,
            model=status.model.id if status.model else "",
            model_digest=status.model.digest if status.model else "",
            latency_s=0.0,
            error=str(error),
        )


def _nth(request: GenerationRequest, index: int) -> GenerationRequest:
    """The first candidate is the very answer that the request alone would get."""
    seed = request.sampling.seed
    if index == 0 and seed is not None:
        return request
    return replace(
        request, sampling=replace(request.sampling, seed=derived_seed(request.id if seed is None else seed, index))
    )
