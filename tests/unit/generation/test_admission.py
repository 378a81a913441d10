from __future__ import annotations

import asyncio

import pytest

from swarm.domain.errors import Unavailable
from swarm.domain.nodes import Load
from swarm.generation.admission import Admission
from tests.fakes.clock import ManualClock, settle


class Guests:
    """Each holds a slot until it is told to leave."""

    def __init__(self, group: asyncio.TaskGroup, admission: Admission) -> None:
        self._group, self._admission = group, admission
        self.inside: list[str] = []
        self._leave: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def arrive(self, *names: str) -> None:
        for name in names:
            self._leave[name] = asyncio.Event()
            self.tasks[name] = self._group.create_task(self._stay(name))
        await settle()

    async def leave(self, *names: str) -> None:
        for name in names:
            self._leave[name].set()
        await settle()

    async def _stay(self, name: str) -> None:
        async with self._admission.slot():
            self.inside.append(name)
            await self._leave[name].wait()


async def test_those_beyond_the_slots_wait_and_enter_in_order() -> None:
    admission = Admission(2, 8, ManualClock())
    async with asyncio.TaskGroup() as group:
        guests = Guests(group, admission)
        await guests.arrive("a", "b", "c", "d")
        assert guests.inside == ["a", "b"]
        assert admission.load == Load(running=2, waiting=2, slots=2, queue_limit=8)
        await guests.leave("b")
        assert guests.inside == ["a", "b", "c"]
        await guests.leave("a", "c", "d")
    assert guests.inside == ["a", "b", "c", "d"]
    assert admission.load == Load(running=0, waiting=0, slots=2, queue_limit=8)


async def test_a_full_queue_is_refused_with_a_time_learned_from_answers() -> None:
    clock = ManualClock()
    admission = Admission(1, 1, clock)
    async with asyncio.TaskGroup() as group:
        guests = Guests(group, admission)
        for name in map(str, range(40)):
            await guests.arrive(name)
            await clock.advance(20)
            await guests.leave(name)
        await guests.arrive("a", "b")
        with pytest.raises(Unavailable, match="try again in about 40 s") as refused:
            async with admission.slot():
                pass
        assert refused.value.busy
        assert refused.value.retry_after_s == pytest.approx(40, rel=0.01)
        await guests.leave("a", "b")


async def test_whoever_is_cancelled_while_waiting_leaves_the_queue() -> None:
    admission = Admission(1, 8, ManualClock())
    async with asyncio.TaskGroup() as group:
        guests = Guests(group, admission)
        await guests.arrive("a", "b", "c")
        guests.tasks["b"].cancel()
        await settle()
        assert admission.load.waiting == 1
        await guests.leave("a", "c")
    assert guests.inside == ["a", "c"]
    assert admission.load.running == 0


async def test_whoever_is_cancelled_just_as_the_slot_is_handed_over_passes_it_on() -> None:
    admission = Admission(1, 8, ManualClock())
    async with asyncio.TaskGroup() as group:
        guests = Guests(group, admission)
        await guests.arrive("b")
        await guests.arrive("c", "d")
        guests.tasks["b"].add_done_callback(lambda _: guests.tasks["c"].cancel())
        await guests.leave("b")
        await guests.leave("d")
    assert "d" in guests.inside
    assert admission.load.running == 0


async def test_cancelled_in_the_turn_of_the_hand_over() -> None:
    admission = Admission(1, 8, ManualClock())
    async with asyncio.TaskGroup() as group:
        guests = Guests(group, admission)
        await guests.arrive("b", "c", "d")
        guests.tasks["b"].cancel()
        await asyncio.sleep(0)
        guests.tasks["c"].cancel()
        await settle()
        assert guests.inside == ["b", "d"]
        await guests.leave("d")
    assert admission.load.running == 0
