"""The engine with real workers on loopback: answers, deaths, blocks over two of them."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from swarm.domain.errors import BackendError, RequestError, Unavailable
from swarm.domain.generation import ChatMessage, GenerationRequest, Sampling, TextDelta
from swarm.domain.ids import NodeId, RequestId
from swarm.domain.nodes import BlockSpan
from swarm.engine.engine import Engine, EnginePlace
from swarm.engine.model_choice import ModelChoice, demo_folder
from swarm.engine.model_tools import WorkerTools
from swarm.engine.settings import EngineSettings
from swarm.host.clock import SystemClock
from tests.fakes import background

pytestmark = pytest.mark.asyncio(loop_scope="module")
DEMO = ModelChoice(str(demo_folder()), "swarm-demo", "for the test")
READY_S = 90.0
QUESTION = (ChatMessage("user", "What is 12 + 30 - 7?"),)
ENDLESS = "9" * 60
"""Goes on up to the end of the context."""
LONG = 400
"""Tokens, of less than half of that."""


@contextlib.asynccontextmanager
async def running(folder: Path, name: str, choice: ModelChoice = DEMO, **settings: object) -> AsyncIterator[Engine]:
    engine = Engine(
        EngineSettings(chain_port=0, restart_min_s=0.1, **settings),  # type: ignore[arg-type]
        choice,
        EnginePlace(NodeId(name), "127.0.0.1", str(folder / f"{name}.key")),
        SystemClock(),
        lambda _: None,
    )
    async with background.running(engine.run()):
        yield engine


async def wait_until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(READY_S):
        while not fact():
            await asyncio.sleep(0.02)


def request(prompt: tuple[ChatMessage, ...] | str = QUESTION, **sampling: object) -> GenerationRequest:
    return GenerationRequest(RequestId("r"), prompt, Sampling(**{"temperature": 0.0, **sampling}))  # type: ignore[arg-type]


async def answer(engine: Engine, asked: GenerationRequest) -> list[TextDelta]:
    async with contextlib.aclosing(engine.stream(asked)) as deltas:
        return [delta async for delta in deltas]


def text(deltas: list[TextDelta]) -> str:
    return "".join(delta.text for delta in deltas)


async def test_an_answer_ends_with_reason_usage_and_origin(whole: Engine) -> None:
    deltas = await answer(whole, request())
    assert text(deltas).endswith("The answer is 35.")
    last = deltas[-1]
    assert last.finish_reason == "stop"
    assert last.usage is not None
    assert last.usage.completion_tokens == sum(delta.tokens for delta in deltas)
    assert last.provenance is not None
    assert (last.provenance.route, last.provenance.nodes) == ("local", ("whole",))
    assert all(delta.finish_reason is None for delta in deltas[:-1])


async def test_stop_seed_and_length_do_what_they_say(whole: Engine) -> None:
    usual = text(await answer(whole, request()))
    assert text(await answer(whole, request(stop=("The answer",)))) == usual.partition("The answer")[0]
    short = await answer(whole, request(max_tokens=3))
    assert short[-1].finish_reason == "length"
    assert short[-1].usage is not None
    assert short[-1].usage.completion_tokens == 3
    warm = [text(await answer(whole, request(temperature=2.0, seed=seed))) for seed in (1, 1, 2, 3, 4, 5, 6)]
    assert warm[0] == warm[1]
    assert len(set(warm)) > 1
    with pytest.raises(RequestError, match="maximum context length is 1024 tokens"):
        await answer(whole, request("1 2 3 " * 1000))


async def test_a_killed_worker_fails_its_answers_and_is_started_again(tmp_path: Path) -> None:
    async with running(tmp_path, "one", blocks="none") as engine:
        for early in (answer(engine, request()), engine.score(QUESTION, "42"), WorkerTools(engine).probe()):
            with pytest.raises(Unavailable, match="loading"):
                await early
        await wait_until(lambda: engine.state.state == "ready")
        deltas = engine.stream(request(ENDLESS))
        await anext(deltas)
        assert engine.worker_pid is not None
        os.kill(engine.worker_pid, signal.SIGKILL)
        with pytest.raises(BackendError, match="died"):
            async for _ in deltas:  # what it had said before
                pass
        await wait_until(lambda: engine.state.state != "ready")
        assert "SIGKILL" in (engine.state.problem or "")
        await wait_until(lambda: engine.state.state == "ready")
        assert text(await answer(engine, request())).endswith("35.")


async def test_answers_of_others_are_judged_and_a_cancel_is_heard(whole: Engine) -> None:
    likely, unlikely = await whole.score(QUESTION, "The answer is 35."), await whole.score(QUESTION, "zq zq")
    assert unlikely.mean_logprob < likely.mean_logprob <= 0
    with pytest.raises(RequestError, match="no text"):
        await whole.score(QUESTION, "")
    judging = asyncio.create_task(whole.score(QUESTION, "9 " * 900))
    await asyncio.sleep(0)
    judging.cancel()
    await asyncio.gather(judging, return_exceptions=True)
    assert (await whole.score(QUESTION, "The answer is 35.")) == likely


async def test_an_answer_that_nobody_reads_any_more_frees_its_slot(tmp_path: Path) -> None:
    async with running(tmp_path, "one", blocks="none", slots=1) as engine:
        await wait_until(lambda: engine.state.state == "ready")
        assert engine.worker_pid is not None
        worker = psutil.Process(engine.worker_pid)
        before = worker.cpu_times().user
        await answer(engine, request(ENDLESS, max_tokens=LONG))
        after_long = worker.cpu_times().user
        async with contextlib.aclosing(engine.stream(request(ENDLESS))) as deltas:
            await anext(deltas)
        assert text(await answer(engine, request())).endswith("35.")
        # Of the processor, as this machine may be busy with other tests.
        assert worker.cpu_times().user - after_long < after_long - before


async def test_a_node_without_blocks_waits_for_those_who_serve_them(tmp_path: Path) -> None:
    async with running(tmp_path, "one", blocks="none", engine="chain") as engine:
        await wait_until(lambda: engine.state.complete)
        assert (engine.state.state, engine.state.missing) == ("waiting", (BlockSpan(0, 6),))


async def test_a_model_that_is_not_there_is_told_and_not_tried_for_ever(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    async with running(tmp_path, "one", choice=ModelChoice(str(empty), "empty", "")) as engine:
        await wait_until(lambda: engine.state.state == "failed")
        with pytest.raises(Unavailable, match=r"no config\.json"):
            await answer(engine, request())


async def test_two_halves_answer_like_the_whole_and_say_who_is_missing(tmp_path: Path) -> None:
    async with running(tmp_path, "first", blocks="0:3") as first, running(tmp_path, "last", blocks="3:6") as last:
        await wait_until(lambda: first.state.state == "waiting" and last.state.state == "waiting")
        assert first.state.missing == (BlockSpan(3, 6),)
        with pytest.raises(Unavailable, match="3:6"):
            await answer(first, request())
        first.introduce(last.state.chain_addresses)
        last.introduce(first.state.chain_addresses)
        await wait_until(lambda: first.state.state == "ready" and last.state.state == "ready")
        deltas = await answer(first, request())
        assert text(deltas).endswith("The answer is 35.")
        assert deltas[-1].provenance is not None
        assert (deltas[-1].provenance.route, deltas[-1].provenance.nodes) == ("chain", ("first", "last"))
        assert text(await answer(last, request())) == text(deltas)
        likely, unlikely = await first.score(QUESTION, text(deltas)), await first.score(QUESTION, "zq zq zq zq")
        assert unlikely.mean_logprob < likely.mean_logprob <= 0
        said = sum(delta.logprob_sum for delta in deltas) / likely.tokens
        assert likely.mean_logprob == pytest.approx(said, abs=0.05)
        first.forget(last.state.chain_addresses)
        await wait_until(lambda: first.state.state == "waiting")


async def test_when_libp2p_dies_the_worker_is_started_again(tmp_path: Path) -> None:
    async with running(tmp_path, "one") as engine:
        await wait_until(lambda: engine.state.complete)
        assert engine.worker_pid is not None
        (libp2p,) = psutil.Process(engine.worker_pid).children()
        libp2p.kill()
        await wait_until(lambda: not engine.state.complete)
        assert "libp2p" in (engine.state.problem or "")
        await wait_until(lambda: engine.state.complete and engine.state.state == "ready")


async def test_a_damaged_libp2p_key_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "one.key").write_bytes(b"nonsense")
    async with running(tmp_path, "one") as engine:
        await wait_until(lambda: engine.state.complete)
        assert engine.state.blocks == BlockSpan(0, 6)
    assert (tmp_path / "one.key.corrupt").read_bytes() == b"nonsense"


async def test_a_quantised_model_answers_and_goes_by_another_digest(tmp_path: Path) -> None:
    async with running(tmp_path, "one", blocks="none", quantization="int8") as engine:
        await wait_until(lambda: engine.state.state == "ready")
        assert text(await answer(engine, request())).endswith("The answer is 35.")
        assert engine.state.model is not None
        assert engine.state.model.digest == f"{engine.state.model.weights_digest}-int8"


async def test_another_model_takes_the_place_of_one_that_cannot_be_loaded(tmp_path: Path) -> None:
    torn = tmp_path / "torn"
    torn.mkdir()
    (torn / "config.json").write_text("{")
    other = ModelChoice(str(demo_folder()), "another-name", "for the test")
    broken = ModelChoice(str(torn), "torn", "for the test")
    async with running(tmp_path, "one", broken, blocks="none") as engine:
        await wait_until(lambda: engine.state.state == "failed")
        engine.use(other)
        assert engine.state.state == "starting"
        await wait_until(lambda: engine.state.state == "ready")
        assert engine.state.model is not None
        assert engine.state.model.id == "another-name"
        assert text(await answer(engine, request())).endswith("35.")
