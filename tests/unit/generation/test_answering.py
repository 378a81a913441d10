from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from swarm.domain.errors import BackendError, Unavailable
from swarm.domain.generation import GenerationRequest, TextDelta
from swarm.domain.ids import RequestId
from swarm.generation.admission import Admission
from swarm.generation.answering import AnswerCounts, AnsweringNode
from tests.fakes.clock import ManualClock
from tests.fakes.text_source import ScriptedSource

ASKED = GenerationRequest(RequestId("request-1"), "35 + 35 =")


def answering(engine: ScriptedSource, slots: int = 1, queue_limit: int = 0) -> tuple[AnsweringNode, Admission]:
    clock = ManualClock()
    admission = Admission(slots, queue_limit, clock)
    return AnsweringNode(engine, admission, clock), admission


async def test_an_answer_passes_through_and_is_counted() -> None:
    node, admission = answering(ScriptedSource(("a", "b", "c")))
    assert "".join([delta.text async for delta in node.stream(ASKED)]) == "abc"
    assert node.counts == AnswerCounts(requests=1, tokens=3, tokens_per_s=None)
    assert admission.load.running == 0


async def test_the_speed_is_that_of_one_stream_after_its_first_piece() -> None:
    clock = ManualClock()
    node = AnsweringNode(ScriptedSource(("a", "b", "c")), Admission(1, 0, clock), clock)
    await clock.advance(3)
    async for _ in node.stream(ASKED):
        await clock.advance(0.5)
    assert node.counts.tokens_per_s == pytest.approx(2.0)


async def test_closing_early_frees_the_slot_and_the_engine() -> None:
    engine = ScriptedSource()
    node, admission = answering(engine)
    async with aclosing(node.stream(ASKED)) as deltas:
        await anext(deltas)
        assert admission.load.running == 1
        with pytest.raises(Unavailable):
            await anext(node.stream(ASKED))
    assert (admission.load.running, engine.open) == (0, 0)
    assert node.counts == AnswerCounts(requests=0, tokens=1)


async def test_an_answer_without_an_end_is_the_engines_fault() -> None:
    node, admission = answering(ScriptedSource(ends=False))
    with pytest.raises(BackendError, match="in the middle"):
        [delta async for delta in node.stream(ASKED)]
    assert admission.load.running == 0


class Talkative(ScriptedSource):
    async def stream(self, request: GenerationRequest) -> AsyncGenerator[TextDelta, None]:
        async for delta in super().stream(request):
            yield delta
        yield TextDelta("and another thing")


class Forgetful(ScriptedSource):
    async def stream(self, request: GenerationRequest) -> AsyncGenerator[TextDelta, None]:
        yield TextDelta("done", 1, finish_reason="stop")


@pytest.mark.parametrize(("engine", "words"), [(Talkative(), "went on"), (Forgetful(), "without usage")])
async def test_a_stream_that_breaks_the_contract_is_stopped(engine: ScriptedSource, words: str) -> None:
    node, _ = answering(engine)
    with pytest.raises(BackendError, match=words):
        [delta async for delta in node.stream(ASKED)]


async def test_who_waits_hears_how_it_gets_on() -> None:
    node, _ = answering(ScriptedSource(("a",)), queue_limit=1)
    async with aclosing(node.stream(ASKED)) as first, aclosing(node.stream(ASKED)) as second:
        await anext(first)
        news = await anext(second)
        assert news.progress == "number 1 of 1 in the queue, about 5 s"
        await first.aclose()
        assert (await anext(second)).text == "a"


async def test_leaving_while_waiting_leaves_the_queue() -> None:
    node, admission = answering(ScriptedSource(("a",)), queue_limit=1)
    async with aclosing(node.stream(ASKED)) as first:
        await anext(first)
        async with aclosing(node.stream(ASKED)) as second:
            await anext(second)
            assert admission.load.waiting == 1
        assert admission.load.waiting == 0
    assert admission.load.running == 0
