from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.domain.errors import Unavailable
from swarm.domain.nodes import Load
from swarm.generation.admission import Admission
from swarm.generation.fair_queue import FairQueue
from tests.fakes.clock import ManualClock, settle


class Guests:
    """Each holds a slot until it is told to leave. The first letter of a name is the client's."""

    def __init__(self, group: asyncio.TaskGroup, admission: Admission) -> None:
        self._group, self._admission = group, admission
        self.inside: list[str] = []
        self._leave: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.told: dict[str, str] = {}

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
        def tell(words: str) -> None:
            self.told[name] = words

        async with self._admission.slot(name[0], tell):
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


async def test_clients_take_turns() -> None:
    admission = Admission(1, 8, ManualClock())
    async with asyncio.TaskGroup() as group:
        guests = Guests(group, admission)
        names = ("g1", "g2", "g3", "g4", "m1", "m2", "p1")
        await guests.arrive(*names)
        assert guests.told["m1"] == "number 2 of 6 in the queue, about 10 s"
        assert guests.told["g4"] == "number 6 of 6 in the queue, about 30 s"
        for name in ("g1", "g2", "m1", "p1", "g3", "m2", "g4"):
            assert guests.inside[-1] == name
            await guests.leave(name)


async def test_whoever_has_more_than_its_part_of_a_full_queue_gives_a_place_up() -> None:
    admission = Admission(1, 3, ManualClock())
    waiting = {name: asyncio.ensure_future(enter(admission, name)) for name in ("g1", "g2", "g3", "g4")}
    await settle()
    waiting["m1"] = asyncio.ensure_future(enter(admission, "m1"))
    await settle()
    assert isinstance(waiting["g4"].exception(), Unavailable)
    assert admission.load == Load(running=1, waiting=3, slots=1, queue_limit=3)
    with pytest.raises(Unavailable):
        await enter(admission, "g5")
    for task in waiting.values():
        task.cancel()
    await asyncio.gather(*waiting.values(), return_exceptions=True)
    assert admission.load == Load(running=0, waiting=0, slots=1, queue_limit=3)


async def enter(admission: Admission, name: str) -> None:
    async with admission.slot(name[0]):
        await asyncio.Event().wait()


async def test_a_refusal_tells_the_position_that_there_would_have_been() -> None:
    admission = Admission(1, 1, ManualClock())
    async with asyncio.TaskGroup() as group:
        guests = Guests(group, admission)
        await guests.arrive("a", "b")
        with pytest.raises(Unavailable) as refused:
            async with admission.slot("c"):
                pass
        assert refused.value.position == 2
        await guests.leave("a", "b")


@given(st.lists(st.sampled_from("abc"), max_size=12))
def test_positions_are_the_order_in_which_they_are_called(clients: list[str]) -> None:
    queue = FairQueue[int]()
    for number, client in enumerate(clients):
        queue.add(client, number)
    foretold = queue.in_order()
    assert sorted(foretold) == list(range(len(clients)))
    assert [queue.next() for _ in clients] == foretold
    assert queue.next() is None
