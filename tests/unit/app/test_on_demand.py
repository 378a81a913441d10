"""Another model is loaded when it is asked for by name, and not while the one that is served has work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from swarm.app.loadable import Loadable
from swarm.app.on_demand import LONGEST_WAIT_S, OnDemand
from swarm.domain.errors import RequestError, Unavailable
from swarm.domain.generation import GenerationRequest, TextDelta
from swarm.domain.ids import RequestId
from swarm.domain.nodes import Load, ModelInfo, Progress
from swarm.engine.model_choice import ModelChoice, choose_model
from swarm.engine.state import EngineState
from tests.fakes.background import running
from tests.fakes.clock import ManualClock, settle
from tests.fakes.text_source import ScriptedSource

OLD, NEW, THIRD = (ModelChoice(f"/{name}", name, "") for name in ("old", "new", "third"))
IDLE = Load()
ASKED = GenerationRequest(RequestId("r"), "Hi", model="new")


@dataclass
class FakeEngine:
    state: EngineState = field(default_factory=lambda: ready("old"))
    choice: ModelChoice = OLD
    used: list[ModelChoice] = field(default_factory=list)

    def use(self, choice: ModelChoice) -> None:
        self.used.append(choice)
        self.choice = choice
        self.state = EngineState("loading", progress=Progress(f"reading {choice.id}", 0.5))


def ready(name: str) -> EngineState:
    return EngineState("ready", ModelInfo(name, f"digest-{name}", 1, 64))


class Place:
    def __init__(self, load: Load = IDLE, inner: ScriptedSource | None = None) -> None:
        self.engine, self.load, self.clock, self.inner = FakeEngine(), load, ManualClock(), inner or ScriptedSource()
        known = {"old": OLD, "new": NEW, "third": THIRD}
        self.source = OnDemand(
            self.inner, self.engine, known.get, lambda name: name == self.served, lambda: self.load, self.clock
        )
        self.asked = 0

    @property
    def served(self) -> str:
        return self.engine.state.model.id if self.engine.state.model else ""

    def stream(self, request: GenerationRequest = ASKED) -> AsyncGenerator[TextDelta, None]:
        self.asked += 1
        return self.source.stream(replace(request, id=RequestId(f"r{self.asked}")))

    async def ask(self, request: GenerationRequest = ASKED) -> list[TextDelta]:
        return [delta async for delta in self.stream(request)]

    async def until_used(self, *choices: ModelChoice) -> None:
        """Moves the time on until the engine was given these."""
        async with asyncio.timeout(30):
            while self.engine.used != [*choices]:
                await asyncio.sleep(0.001)  # It looks on the disk in a thread.
                await self.clock.advance(0.2)

    async def until_waiting(self, sleepers: int) -> None:
        """`run` and each caller sleep between two looks."""
        async with asyncio.timeout(30):
            while self.clock.sleepers < sleepers:
                await asyncio.sleep(0.001)

    async def becomes(self, state: EngineState) -> None:
        self.engine.state = state
        await self.clock.advance(0.5)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    place = Place()
    async with running(place.source.run()):
        yield place


async def test_it_is_loaded_once_nothing_runs_and_the_caller_hears_of_it(place: Place) -> None:
    place.load = Load(running=1)
    asking = asyncio.create_task(place.ask())
    await place.until_waiting(2)
    await place.clock.advance(1)
    assert not place.engine.used
    place.load = IDLE
    await place.until_used(NEW)
    await place.becomes(ready("new"))
    deltas = await asking
    news = [delta.progress for delta in deltas if delta.progress]
    assert any(words.startswith("waiting for answers of another model") for words in news)
    assert news[-1].startswith("reading new")
    assert deltas[-1].finish_reason == "stop"


@pytest.mark.parametrize(
    "request_", [replace(ASKED, model=None), replace(ASKED, model="old"), replace(ASKED, alone=True)]
)
async def test_nothing_is_loaded_for_what_is_served_or_comes_from_a_peer(
    place: Place, request_: GenerationRequest
) -> None:
    assert (await place.ask(request_))[-1].finish_reason == "stop"
    assert not place.engine.used


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (EngineState("failed", problem="it is torn"), RequestError),
        (EngineState("starting", problem="it is torn; starting it again in 1 s"), Unavailable),
    ],
)
async def test_where_it_cannot_be_loaded_the_old_one_comes_back(
    place: Place, state: EngineState, error: type[Exception]
) -> None:
    asking = asyncio.create_task(place.ask())
    await place.until_used(NEW)
    await place.becomes(state)
    with pytest.raises(error, match="it is torn"):
        await asking
    assert place.engine.used == [NEW, OLD]


async def test_the_old_one_comes_back_although_the_caller_has_left(place: Place) -> None:
    asking = asyncio.create_task(place.ask())
    await place.until_used(NEW)
    asking.cancel()
    await place.becomes(EngineState("failed", problem="it is torn"))
    assert place.engine.used == [NEW, OLD]


async def test_nothing_is_loaded_for_who_left_before_its_turn(place: Place) -> None:
    place.load = Load(running=1)
    asking = asyncio.create_task(place.ask())
    await place.until_waiting(2)
    asking.cancel()
    await settle()
    place.load = IDLE
    await place.clock.advance(1)
    assert not place.engine.used


async def test_who_waits_for_too_long_is_told_to_come_back(place: Place) -> None:
    place.load = Load(running=1)
    asking = asyncio.create_task(place.ask())
    await place.until_waiting(2)
    await place.clock.advance(LONGEST_WAIT_S + 1)
    with pytest.raises(Unavailable, match="busy"):
        await asking
    assert not place.engine.used


async def test_two_who_want_the_same_have_it_loaded_once(place: Place) -> None:
    both = asyncio.gather(place.ask(), place.ask())
    await place.until_used(NEW)
    await place.becomes(ready("new"))
    await both
    assert place.engine.used == [NEW]


async def test_a_model_stays_until_who_waited_for_it_has_begun() -> None:
    place = Place(inner=ScriptedSource())
    place.inner.clock, place.inner.delay_s = place.clock, 10.0
    async with running(place.source.run()):
        first = asyncio.create_task(place.ask())
        await place.until_used(NEW)
        second = asyncio.create_task(place.ask(replace(ASKED, model="third")))
        await place.until_waiting(3)
        await place.becomes(ready("new"))
        await place.clock.advance(5)
        assert place.engine.used == [NEW]
        await place.clock.advance(10)
        assert place.engine.used == [NEW, THIRD]
        await place.becomes(ready("third"))
        await place.clock.advance(30)
        for answer in (first, second):
            assert (await answer)[-1].finish_reason == "stop"


def test_what_is_here_can_be_loaded(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--org--small" / "snapshots" / "main"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(
        '{"architectures": ["LlamaForCausalLM"], "num_hidden_layers": 2, "max_position_embeddings": 128}'
    )
    (snapshot / "model.safetensors").write_bytes(b"x")
    loadable = Loadable(choose_model("demo", None, tmp_path, 0), tmp_path)
    demo, small = loadable.infos()
    assert demo.id == "swarm-demo"
    assert (small.id, small.layers, small.context_tokens) == ("org/small", 2, 128)
    assert loadable.find("swarm-demo") is not None
    assert loadable.find("nobody/has-it") is None
