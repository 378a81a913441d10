"""The engine goes on, whatever becomes of its worker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from swarm.domain.ids import NodeId
from swarm.engine import engine as module
from swarm.engine.engine import Engine, EnginePlace
from swarm.engine.model_choice import ModelChoice
from swarm.engine.settings import EngineSettings
from swarm.engine.state import EngineState
from swarm.wire.worker_commands import Forget, Introduce, Suspect
from swarm.wire.worker_events import Hardware
from tests.fakes import background
from tests.fakes.clock import ManualClock, settle


class SilentWorker:
    """Says what torch sees, and then nothing; or nothing at all."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.told: list[object] = []
        self.first_words = [Hardware("cpu", "2 cores", 0)]

    def send(self, command: object) -> None:
        self.told.append(command)

    def kill(self) -> None:
        self.ended.set()

    async def events(self) -> AsyncIterator[Any]:
        for word in self.first_words:
            yield word
        await self.ended.wait()

    async def log_stderr(self) -> None:
        pass

    async def wait(self) -> str:
        await self.ended.wait()
        return "it was ended by SIGKILL"


class LateClock(ManualClock):
    """Its sleepers can be woken too late, as after this machine's own sleep."""

    def jump(self, seconds: float) -> None:
        self._now += seconds


@asynccontextmanager
async def running(clock: ManualClock, states: list[EngineState]) -> AsyncIterator[Engine]:
    place = EnginePlace(NodeId("n"), None, "key")
    engine = Engine(EngineSettings(silence_limit_s=60), ModelChoice("", "demo", ""), place, clock, states.append)
    async with background.running(engine.run()):
        await settle()
        yield engine


async def test_a_worker_that_cannot_be_started_is_told_and_tried_again_with_longer_pauses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start_worker() -> None:
        raise BlockingIOError(11, "no process to be had")

    monkeypatch.setattr(module, "start_worker", start_worker)
    clock, states = ManualClock(), list[EngineState]()
    async with running(clock, states):
        await clock.advance(3.5)
    assert [state.problem and state.problem.rpartition("again in ")[2] for state in states] == ["1 s", "2 s", "4 s"]
    assert "no process to be had" in states[-1].why_not()


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> SilentWorker:
    worker = SilentWorker()

    @asynccontextmanager
    async def start_worker() -> AsyncIterator[SilentWorker]:
        yield worker

    monkeypatch.setattr(module, "start_worker", start_worker)
    return worker


async def test_a_silent_worker_is_ended(worker: SilentWorker) -> None:
    clock = LateClock()
    async with running(clock, []):
        await clock.advance(59)
        assert not worker.ended.is_set()
        await clock.advance(2)
        assert worker.ended.is_set()


async def test_a_worker_that_still_imports_torch_is_given_more_time(worker: SilentWorker) -> None:
    worker.first_words.clear()
    clock = LateClock()
    async with running(clock, []):
        await clock.advance(290)
        assert not worker.ended.is_set()
        await clock.advance(20)
        assert worker.ended.is_set()


async def test_the_time_in_which_this_process_was_stopped_is_no_silence_of_the_worker(worker: SilentWorker) -> None:
    clock = LateClock()
    async with running(clock, []):
        clock.jump(3600)
        await clock.advance(10)
        assert not worker.ended.is_set()


async def test_the_chain_is_told_who_is_suspect_and_once_when_that_is_over(worker: SilentWorker) -> None:
    async with running(ManualClock(), []) as engine:
        engine.introduce(["a", "b"])
        engine.suspect(["a"])
        worker.told.clear()
        engine.introduce(["a", "b"])
        engine.introduce(["a", "b"])
        assert worker.told == [Introduce(("a",))]
        engine.suspect(["b"])
        engine.forget(["b"])
        engine.introduce(["b"])
        assert worker.told[1:] == [Suspect(("b",)), Forget(("b",)), Introduce(("b",))]
