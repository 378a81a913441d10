"""Another model is loaded when it is asked for by name, and not while the one that is served has work."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from swarm.app.on_demand import Loadable, OnDemand
from swarm.domain.errors import RequestError
from swarm.domain.generation import GenerationRequest, TextDelta
from swarm.domain.ids import RequestId
from swarm.domain.nodes import Load, ModelInfo, Progress
from swarm.engine.model_choice import ModelChoice
from swarm.engine.state import EngineState
from tests.fakes.clock import ManualClock, settle
from tests.fakes.text_source import ScriptedSource

OLD, NEW = ModelChoice("/old", "old", ""), ModelChoice("/new", "new", "")
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


@dataclass
class Place:
    engine: FakeEngine = field(default_factory=FakeEngine)
    load: Load = field(default_factory=Load)
    clock: ManualClock = field(default_factory=ManualClock)
    inner: ScriptedSource = field(default_factory=ScriptedSource)

    def source(self) -> OnDemand:
        def is_served(name: str) -> bool:
            model = self.engine.state.model
            return model is not None and model.id == name

        known = {"old": OLD, "new": NEW}
        return OnDemand(self.inner, self.engine, known.get, is_served, lambda: self.load, self.clock)

    async def ask(self, request: GenerationRequest = ASKED) -> list[TextDelta]:
        return [delta async for delta in self.source().stream(request)]


async def until(fact) -> None:
    async with asyncio.timeout(30):
        while not fact():
            await asyncio.sleep(0.01)


async def test_it_is_loaded_once_nothing_runs_and_the_caller_hears_of_it() -> None:
    place = Place(load=Load(running=1))
    asking = asyncio.create_task(place.ask())
    await until(lambda: place.clock._sleepers)
    assert not place.engine.used
    place.load = Load()
    await place.clock.advance(0.3)
    assert place.engine.used == [NEW]
    place.engine.state = ready("new")
    await place.clock.advance(0.3)
    deltas = await asking
    news = [delta.progress for delta in deltas if delta.progress]
    assert news[0].startswith("waiting for answers of another model")
    assert news[-1].startswith("reading new")
    assert deltas[-1].finish_reason == "stop"


@pytest.mark.parametrize(
    "request_", [replace(ASKED, model=None), replace(ASKED, model="old"), replace(ASKED, alone=True)]
)
async def test_nothing_is_loaded_for_what_is_served_or_comes_from_a_peer(request_: GenerationRequest) -> None:
    place = Place()
    assert (await place.ask(request_))[-1].finish_reason == "stop"
    assert not place.engine.used


async def test_where_it_cannot_be_loaded_the_old_one_comes_back() -> None:
    place = Place()
    asking = asyncio.create_task(place.ask())
    await until(lambda: place.engine.used)
    place.engine.state = EngineState("failed", problem="it is torn")
    await place.clock.advance(0.3)
    with pytest.raises(RequestError, match="it is torn"):
        await asking
    assert place.engine.used == [NEW, OLD]


async def test_two_who_want_the_same_have_it_loaded_once() -> None:
    place = Place()
    source = place.source()

    async def ask() -> list[TextDelta]:
        return [delta async for delta in source.stream(ASKED)]

    both = asyncio.gather(ask(), ask())
    await until(lambda: place.engine.used)
    await settle()
    place.engine.state = ready("new")
    await place.clock.advance(0.3)
    await both
    assert place.engine.used == [NEW]


def test_what_is_here_can_be_loaded(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--org--small" / "snapshots" / "main"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(
        '{"architectures": ["LlamaForCausalLM"], "num_hidden_layers": 2, "max_position_embeddings": 128}'
    )
    (snapshot / "model.safetensors").write_bytes(b"x")
    loadable = Loadable(OLD, tmp_path)
    assert [(model.id, model.layers, model.context_tokens) for model in loadable.infos()][-1] == ("org/small", 2, 128)
    assert loadable.find("swarm-demo") is not None
    assert loadable.find("nobody/has-it") is None
