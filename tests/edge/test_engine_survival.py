"""Real workers on loopback that die or freeze in the middle of an answer: its text stays the same."""

import asyncio
import contextlib
from pathlib import Path

import psutil
import pytest

from swarm.domain.errors import Unavailable
from swarm.domain.generation import GenerationRequest, Resume, Sampling, TextDelta
from swarm.domain.ids import RequestId
from swarm.engine.engine import Engine
from tests.edge.test_engine_worker import READY_S, running, wait_until

PROMPT = "9" * 60
GREEDY = Sampling(temperature=0.0, max_tokens=200)
SAMPLINGS = (GREEDY, Sampling(temperature=1.5, top_p=0.95, max_tokens=200, seed=11))
BEGUN = 5
"""Pieces; most are still to come."""


async def answer(
    engine: Engine, sampling: Sampling, resume: Resume | None = None, begun: asyncio.Event | None = None
) -> list[TextDelta]:
    """`begun` is set once the first pieces are there."""
    request = GenerationRequest(RequestId("r"), PROMPT, sampling, resume=resume)
    deltas: list[TextDelta] = []
    async with contextlib.aclosing(engine.stream(request)) as stream:
        async for delta in stream:
            deltas.append(delta)
            if begun and len(deltas) == BEGUN:
                begun.set()
    return deltas


async def begin(engine: Engine, *samplings: Sampling) -> list[asyncio.Task[list[TextDelta]]]:
    """Answers side by side, all of them on their way."""
    begun = [asyncio.Event() for _ in samplings]
    streams = [
        asyncio.create_task(answer(engine, sampling, begun=event))
        for sampling, event in zip(samplings, begun, strict=True)
    ]
    async with asyncio.timeout(READY_S):
        for event in begun:
            await event.wait()
    return streams


def text(deltas: list[TextDelta]) -> str:
    return "".join(delta.text for delta in deltas)


def worker_of(engine: Engine) -> psutil.Process:
    assert engine.worker_pid is not None
    return psutil.Process(engine.worker_pid)


async def test_with_another_node_for_the_blocks_no_token_is_lost_repeated_or_changed(tmp_path: Path) -> None:
    async with (
        running(tmp_path, "client", blocks="0:3") as client,
        running(tmp_path, "victim", blocks="3:6") as victim,
        running(tmp_path, "heir", blocks="0:6") as heir,
    ):
        await wait_until(lambda: all(engine.state.complete for engine in (client, victim, heir)))
        client.introduce(victim.state.chain_addresses)
        await wait_until(lambda: client.state.state == "ready")
        whole = [await answer(heir, sampling) for sampling in SAMPLINGS]

        # Killed, while nobody else was known when the answers began.
        streams = await begin(client, *SAMPLINGS)
        client.introduce(heir.state.chain_addresses)
        lost = victim.state.chain_addresses
        worker_of(victim).kill()
        for got, expected in zip(await asyncio.gather(*streams), whole, strict=True):
            assert text(got) == text(expected)
            assert got[-1].usage == expected[-1].usage
            assert sum(delta.tokens for delta in got) == sum(delta.tokens for delta in expected)
            assert got[-1].provenance is not None
            assert set(got[-1].provenance.nodes) == {"client", "heir", "victim"}

        # What one worker began, by itself, another goes on with over the chain.
        assert heir.state.model is not None
        for sampling, expected in zip(SAMPLINGS, whole, strict=True):
            began = expected[:40]
            tokens = tuple(token for delta in began for token in delta.token_ids)
            rest = await answer(client, sampling, Resume(tokens, heir.state.model.digest))
            assert text(began) + text(rest) == text(expected)
            assert rest[-1].usage == expected[-1].usage
        with pytest.raises(Unavailable, match="another model"):
            await answer(client, GREEDY, Resume((1,), "another"))

        # Frozen, while the first one is back.
        await wait_until(lambda: victim.state.complete and victim.state.chain_addresses != ())
        frozen = worker_of(heir)
        streams = await begin(client, *SAMPLINGS)
        frozen.suspend()
        client.forget(lost)
        client.introduce(victim.state.chain_addresses)
        try:
            got = await asyncio.gather(*streams)
        finally:
            frozen.resume()
        assert [text(deltas) for deltas in got] == [text(expected) for expected in whole]
        for deltas in got:
            assert deltas[-1].provenance is not None
            assert set(deltas[-1].provenance.nodes) == {"client", "heir", "victim"}


async def test_without_another_node_the_missing_blocks_are_named_in_time(tmp_path: Path) -> None:
    async with (
        running(tmp_path, "client", blocks="0:3", repair_s=2.0) as client,
        running(tmp_path, "victim", blocks="3:6") as victim,
    ):
        await wait_until(lambda: client.state.complete and victim.state.complete)
        client.introduce(victim.state.chain_addresses)
        await wait_until(lambda: client.state.state == "ready")
        worker = worker_of(victim)
        (stream,) = await begin(client, GREEDY)
        worker.suspend()
        with pytest.raises(Unavailable, match=r"Blocks 3:6 .* --blocks 3:6"):
            async with asyncio.timeout(40):
                await stream
        worker.resume()
