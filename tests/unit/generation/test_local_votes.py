from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

import pytest

from swarm.domain.answers import ToolCall
from swarm.domain.errors import BackendError, RequestError
from swarm.domain.generation import GenerationRequest, Sampling, TextDelta
from swarm.domain.ids import BootId, NodeId, RequestId
from swarm.domain.nodes import Load, NodeStatus
from swarm.domain.tokens import TokenLogprob
from swarm.domain.tools import ToolCallDelta
from swarm.generation.local_votes import LocalVotes
from tests.fakes.clock import ManualClock
from tests.fakes.text_source import ScriptedSource

ASKED = GenerationRequest(RequestId("request-1"), "35 + 35 =", Sampling(seed=7))
STATUS = NodeStatus(NodeId("here"), BootId("boot"), "here", "0.1.0", 1, "ready", "", instances=2, load=Load())


def local_votes(source: ScriptedSource, clock: ManualClock | None = None) -> LocalVotes:
    return LocalVotes(source, lambda: STATUS, clock or ManualClock())


async def test_a_candidate_carries_what_a_vote_needs() -> None:
    (vote,) = await local_votes(ScriptedSource(logprob=-0.25)).votes(ASKED, 1)
    assert (vote.node, vote.text, vote.finish_reason, vote.tokens) == ("here", "The answer is 70.", "stop", 2)
    assert vote.mean_logprob == pytest.approx(-0.25)
    assert (vote.model, vote.model_digest, vote.prompt_tokens, vote.error) == ("demo", "digest-demo", 5, None)


async def test_the_nodes_setting_says_how_many_candidates_there_are() -> None:
    assert len(await local_votes(ScriptedSource()).votes(ASKED)) == 2


async def test_every_candidate_has_its_own_seed_and_the_first_keeps_the_clients() -> None:
    source = ScriptedSource()
    await local_votes(source).votes(ASKED, 4)
    seeds = [request.sampling.seed for request in source.requests]
    assert seeds[0] == 7
    assert len(set(seeds)) == 4
    unseeded = ScriptedSource()
    await local_votes(unseeded).votes(replace(ASKED, sampling=Sampling()), 4)
    assert len({request.sampling.seed for request in unseeded.requests} - {None}) == 4


async def test_candidates_are_generated_at_the_same_time() -> None:
    clock = ManualClock()
    source = ScriptedSource(("70",), clock=clock, delay_s=2.0)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(local_votes(source, clock).votes(ASKED, 3))
        await clock.advance(2.0)
    assert [vote.latency_s for vote in task.result()] == [2.0, 2.0, 2.0]


@dataclass
class FailsAfterTheFirst(ScriptedSource):
    async def stream(self, request: GenerationRequest) -> AsyncGenerator[TextDelta, None]:
        self.error = BackendError("the worker crashed") if self.requests else None
        async for delta in super().stream(request):
            yield delta


async def test_a_candidate_that_failed_is_a_vote_with_its_error() -> None:
    votes = await local_votes(FailsAfterTheFirst()).votes(ASKED, 2)
    assert [vote.error for vote in votes] == [None, "the worker crashed"]
    assert votes[1].text == ""


@pytest.mark.parametrize("error", [BackendError("crashed"), RequestError("too long")])
async def test_where_all_fail_the_first_error_is_raised_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        await local_votes(ScriptedSource(error=error)).votes(ASKED, 2)


async def test_a_cancel_closes_every_candidate() -> None:
    clock = ManualClock()
    source = ScriptedSource(clock=clock, delay_s=100.0)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(local_votes(source, clock).votes(ASKED, 3))
        await clock.advance(1.0)
        assert source.open == 3
        task.cancel()
    assert source.open == 0


@dataclass
class Calls(ScriptedSource):
    """Thinks, and calls two functions in pieces."""

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[TextDelta, None]:
        yield TextDelta(reasoning="Which ", tokens=1)
        yield TextDelta(reasoning="city?", tokens=1)
        yield TextDelta(tool_calls=(ToolCallDelta(0, "id0", "weather"),), tokens=1)
        yield TextDelta(tool_calls=(ToolCallDelta(0, arguments='{"city": '), ToolCallDelta(1, "id1", "clock")))
        yield TextDelta(tool_calls=(ToolCallDelta(0, arguments='"Rome"}'), ToolCallDelta(1, arguments="{}")))
        async for delta in super().stream(request):
            yield replace(delta, text="", token_logprobs=(TokenLogprob("x", (120,), -0.5),))


async def test_a_candidate_carries_calls_thoughts_and_log_probabilities() -> None:
    (vote,) = await local_votes(Calls()).votes(ASKED, 1)
    assert vote.tool_calls == (ToolCall("weather", '{"city": "Rome"}'), ToolCall("clock", "{}"))
    assert (vote.text, vote.reasoning) == ("", "Which city?")
    assert {token.token for token in vote.token_logprobs} == {"x"}
