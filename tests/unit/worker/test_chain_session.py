"""A sequence over several nodes gives the same result whichever of them die, hang or slow down on the way."""

import random
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.domain.nodes import BlockSpan
from swarm.worker.chain import attempts, crossing
from swarm.worker.chain.attempts import HopFailed
from swarm.worker.chain.measures import Measures
from swarm.worker.chain.routing import Hop, Offer
from swarm.worker.chain.session import ChainSession
from swarm.worker.compute.step import Step
from swarm.worker.failures import BlocksMissing, Cancelled

LAYERS = 6
TWO_WAYS = {"a": BlockSpan(0, 3), "b": BlockSpan(3, 6), "c": BlockSpan(0, 3), "d": BlockSpan(3, 6)}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Late after 30 ms."""
    monkeypatch.setattr(attempts, "SHORTEST_PATIENCE_S", 0.03)
    monkeypatch.setattr(attempts, "ENOUGH_PATIENCE_S", 0.03)
    monkeypatch.setattr(attempts, "SUSPECT_PATIENCE_S", 0.01)
    monkeypatch.setattr(crossing, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(crossing, "SAME_AGAIN_AFTER_S", 0.02)
    monkeypatch.setattr(crossing, "PREFILL_S_PER_TOKEN", 0.001)


class World:
    """Nodes that die, hang, slow down and come back; what each block computes depends on all that it was fed before."""

    layers = LAYERS

    def __init__(self, offered: dict[str, BlockSpan]) -> None:
        self.offered, self.measures = offered, Measures()
        self.dead, self.hung, self.delays_s = set[str](), set[str](), dict[str, float]()
        self.runners: list[Runner] = []
        self.before_step: Callable[[Runner, torch.Tensor], None] = lambda _runner, _hidden: None

    def offers(self, without: frozenset[str] = frozenset()) -> list[Offer]:
        known = [Offer(server, span) for server, span in self.offered.items() if server not in without]
        return [self.measures.priced(offer) for offer in known]

    def open(self, hop: Hop) -> "Runner":
        self.runners.append(Runner(self, hop))
        return self.runners[-1]

    def session(self, repair_s: float = 5.0, is_cancelled: Callable[[], bool] = lambda: False) -> ChainSession:
        return ChainSession(self, self.open, repair_s, is_cancelled)

    @property
    def opened(self) -> list[str]:
        return [runner.server for runner in self.runners]


class Runner:
    def __init__(self, world: World, hop: Hop) -> None:
        self.world, self.hop, self.sums = world, hop, torch.zeros(len(hop.span))
        self.closed = 0

    @property
    def server(self) -> str:
        return self.hop.server or ""

    def begin(self, hidden: torch.Tensor) -> Step:
        self.world.before_step(self, hidden)
        future = Step()
        if self.server in self.world.dead:
            future.set_exception(ConnectionError("dead"))
        elif delay_s := self.world.delays_s.get(self.server):
            made = self._compute(hidden)
            late = threading.Timer(delay_s, lambda: future.set_running_or_notify_cancel() and future.set_result(made))
            late.daemon = True
            late.start()
        elif self.server not in self.world.hung:
            future.set_result(self._compute(hidden))
        return future

    def _compute(self, hidden: torch.Tensor) -> torch.Tensor:
        made = hidden.clone()
        for layer in range(len(self.hop.span)):
            for token in range(made.shape[1]):
                self.sums[layer] += made[0, token, 0]
                made[0, token, 0] = made[0, token, 0] * 0.5 + self.sums[layer] * 0.1 + self.hop.span.start + layer
        return made

    def close(self) -> None:
        self.closed += 1


def tokens(count: int, seed: int) -> torch.Tensor:
    return torch.rand(1, count, 1, generator=torch.Generator().manual_seed(seed))


def undisturbed(steps: list[torch.Tensor]) -> list[torch.Tensor]:
    with World({"all": BlockSpan(0, LAYERS)}).session() as chain:
        return [chain.step(step) for step in steps]


def assert_undisturbed(made: list[torch.Tensor], steps: list[torch.Tensor]) -> None:
    for got, expected in zip(made, undisturbed(steps), strict=True):
        torch.testing.assert_close(got, expected)


@pytest.fixture(autouse=True)
def every_runner_is_closed_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    worlds: list[World] = []
    build = World.__init__

    def remember(self: World, offered: dict[str, BlockSpan]) -> None:
        build(self, offered)
        worlds.append(self)

    monkeypatch.setattr(World, "__init__", remember)
    yield
    for world in worlds:
        assert [runner.closed for runner in world.runners] == [1] * len(world.runners)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(1, 5), min_size=1, max_size=8))
def test_deaths_on_the_way_change_nothing_while_others_serve_the_blocks(seed: int, sizes: list[int]) -> None:
    rng = random.Random(seed)
    spans = {"a": (0, 3), "b": (3, 6), "c": (0, 2), "d": (2, 5), "e": (4, 6), "rock": (0, 1), "solid": (1, 6)}
    world = World({name: BlockSpan(*span) for name, span in spans.items()})

    def some_die(_runner: Runner, _hidden: torch.Tensor) -> None:
        """Also while the past is being fed again."""
        world.dead = {name for name in "abcde" if rng.random() < 0.4}

    world.before_step = some_die
    steps = [tokens(size, seed + at) for at, size in enumerate(sizes)]
    with world.session() as chain:
        made = [chain.step(step) for step in steps]
    assert_undisturbed(made, steps)


def test_a_long_prompt_goes_in_pieces_and_comes_out_whole_though_its_node_dies_in_the_middle() -> None:
    long = tokens(attempts.CHUNK_TOKENS * 2 + 7, 1)
    world = World({"a": BlockSpan(0, 6), "b": BlockSpan(0, 6)})
    pieces: list[int] = []

    def die_at_the_second(runner: Runner, hidden: torch.Tensor) -> None:
        pieces.append(hidden.shape[1])
        if runner.server == "a" and len(pieces) == 2:
            world.dead = {"a"}

    world.before_step = die_at_the_second
    with world.session() as chain:
        made = [chain.step(long)]
    assert pieces == [512, 512, 512, 512, 7]
    assert_undisturbed(made, [long])


def test_a_second_death_while_the_past_is_fed_again() -> None:
    world = World({"a": BlockSpan(0, 6), "b": BlockSpan(0, 6), "c": BlockSpan(0, 3), "d": BlockSpan(3, 6)})
    steps = [tokens(3, 1), tokens(1, 2), tokens(1, 3)]
    with world.session() as chain:
        made = [chain.step(steps[0])]
        first = world.opened[0]
        world.dead = {first}

        def the_next_dies_too(runner: Runner, _hidden: torch.Tensor) -> None:
            if runner.server in "ab":
                world.dead.add(runner.server)

        world.before_step = the_next_dies_too
        made += [chain.step(step) for step in steps[1:]]
        assert world.opened == ["a", "b", "c", "d"]
        assert chain.servers == ("c", "d", "a")
    assert_undisturbed(made, steps)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("state", ["dead", "hung"])
def test_another_way_is_tried_as_soon_as_one_is_in_trouble(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossing, "LOOK_EVERY_S", 60)
    world = World({"a": BlockSpan(0, 6), "b": BlockSpan(0, 6)})
    steps = [tokens(3, 1), tokens(1, 2)]
    with world.session() as chain:
        made = [chain.step(steps[0])]
        getattr(world, state).add(world.opened[0])
        began = time.monotonic()
        made.append(chain.step(steps[1]))
        assert time.monotonic() - began < 20
    assert_undisturbed(made, steps)


def test_blocks_that_nobody_serves_are_named_at_once() -> None:
    with pytest.raises(BlocksMissing, match="3:6"), World({"a": BlockSpan(0, 3)}).session():
        pass


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("state", ["dead", "hung"])
def test_a_node_that_is_lost_for_good_ends_the_answer_with_the_missing_blocks(state: str) -> None:
    world = World({"a": BlockSpan(0, 3), "b": BlockSpan(3, 6)})
    with world.session(repair_s=0.2) as chain:
        chain.step(tokens(3, 1))
        getattr(world, state).add("b")
        with pytest.raises(BlocksMissing, match=r"Blocks 3:6 .* --blocks 3:6"):
            chain.step(tokens(1, 2))


@pytest.mark.usefixtures("impatient")
def test_a_node_that_comes_back_in_time_is_used_again() -> None:
    world = World({"a": BlockSpan(0, 3), "b": BlockSpan(3, 6)})
    steps = [tokens(3, 1), tokens(1, 2)]
    with world.session() as chain:
        made = [chain.step(steps[0])]
        world.dead = {"b"}
        threading.Timer(0.1, world.dead.clear).start()
        made.append(chain.step(steps[1]))
        assert world.opened[:2] == ["a", "b"]
        assert set(world.opened[2:]) == {"b"}
    assert_undisturbed(made, steps)


@pytest.mark.usefixtures("impatient")
def test_one_that_hangs_is_left_for_another_and_a_second_that_hangs_for_a_third() -> None:
    world = World({**TWO_WAYS, "e": BlockSpan(2, 6)})
    steps = [tokens(3, 1), tokens(1, 2), tokens(1, 3)]
    with world.session() as chain:
        made = [chain.step(steps[0])]
        world.hung = {"b", "d"}
        made += [chain.step(step) for step in steps[1:]]
        assert "e" in chain.servers
    assert_undisturbed(made, steps)


@pytest.mark.usefixtures("impatient")
def test_one_that_is_only_slow_keeps_its_place_where_it_is_there_before_the_others() -> None:
    world = World(TWO_WAYS)
    steps = [tokens(3, 1), tokens(1, 2), tokens(1, 3)]
    with world.session() as chain:
        made = [chain.step(steps[0])]
        world.delays_s = {"b": 0.1, "d": 0.5}
        made.append(chain.step(steps[1]))
        assert chain.servers == ("a", "b")
        world.delays_s.clear()
        made.append(chain.step(steps[2]))
    assert_undisturbed(made, steps)


@pytest.mark.usefixtures("impatient")
def test_one_that_is_slow_is_overtaken_where_another_has_caught_up() -> None:
    world = World(TWO_WAYS)
    steps = [tokens(3, 1), tokens(1, 2)]
    with world.session() as chain:
        made = [chain.step(steps[0])]
        world.delays_s = {"b": 60.0}
        started = time.monotonic()
        made.append(chain.step(steps[1]))
        assert time.monotonic() - started < 30
        assert chain.servers == ("a", "d", "b")
    assert_undisturbed(made, steps)


def test_a_suspect_is_left_before_it_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "SHORTEST_PATIENCE_S", 60.0)
    world = World(TWO_WAYS)
    steps = [tokens(3, 1), tokens(1, 2)]
    with world.session() as chain:
        made = [chain.step(steps[0])]
        world.hung = {"b"}
        threading.Timer(0.1, lambda: world.measures.suspect("b", is_suspect=True)).start()
        made.append(chain.step(steps[1]))
        assert chain.servers == ("a", "d", "b")
    assert_undisturbed(made, steps)


def test_who_waits_for_a_lost_node_can_be_cancelled() -> None:
    world = World({"a": BlockSpan(0, 6)})
    cancelled = threading.Event()
    with world.session(60.0, cancelled.is_set) as chain:
        chain.step(tokens(2, 1))
        world.dead = {"a"}
        threading.Timer(0.1, cancelled.set).start()
        with pytest.raises(Cancelled):
            chain.step(tokens(1, 2))


def test_only_what_may_be_lost_is_kept() -> None:
    world = World({"a": BlockSpan(0, 3)})
    own = Offer(None, BlockSpan(3, 6))
    world.offers = lambda without=frozenset(): [Offer("a", BlockSpan(0, 3)), own]  # type: ignore[method-assign]
    with world.session() as chain:
        chain.step(tokens(3, 1))
        chain.step(tokens(1, 2))
        assert chain.history_bytes == 4 * 4
        assert chain.servers == ("a",)


def test_two_sequences_take_two_disjoint_routes() -> None:
    world = World(TWO_WAYS)
    with world.session() as first, world.session() as second:
        assert set(first.servers) | set(second.servers) == set(TWO_WAYS)


def test_own_blocks_that_were_exchanged_meanwhile_are_looked_for_again_and_nothing_stays_open() -> None:
    world = World({"a": BlockSpan(0, 3), "b": BlockSpan(3, 6)})
    own, exchanged = Offer(None, BlockSpan(3, 6)), list[Hop]()
    world.offers = lambda without=frozenset(): [
        Offer("a", BlockSpan(0, 3)),
        own if not exchanged else Offer("b", own.span),
    ]  # type: ignore[method-assign]

    def open_runner(hop: Hop) -> Runner:
        if hop.server is None:
            exchanged.append(hop)
            raise HopFailed("this node serves other blocks now")
        return world.open(hop)

    with ChainSession(world, open_runner, repair_s=5.0) as chain:
        assert chain.servers == ("a", "b")
        assert_undisturbed([chain.step(tokens(2, 1))], [tokens(2, 1)])
    assert world.opened == ["a", "a", "b"]
    assert world.measures.priced(Offer("a", own.span)).load == 0


@pytest.mark.usefixtures("impatient")
def test_no_more_than_two_ways_are_tried_at_once() -> None:
    world = World({name: BlockSpan(0, 6) for name in "abcdef"})
    with world.session() as chain:
        made = [chain.step(tokens(3, 1))]
        world.hung = set("abcde")
        open_at_once: list[int] = []
        world.before_step = lambda *_: open_at_once.append(sum(not runner.closed for runner in world.runners))
        made.append(chain.step(tokens(1, 2)))
        assert chain.servers[0] == "f"
    assert max(open_at_once) == 2
    assert_undisturbed(made, [tokens(3, 1), tokens(1, 2)])


def test_a_failure_of_own_blocks_ends_the_answer_with_its_reason() -> None:
    world = World({})
    world.offers = lambda without=frozenset(): [Offer(None, BlockSpan(0, 6))]  # type: ignore[method-assign]

    def no_memory(_runner: Runner, _hidden: torch.Tensor) -> None:
        raise MemoryError

    with world.session() as chain:
        chain.step(tokens(2, 1))
        world.before_step = no_memory
        with pytest.raises(MemoryError):
            chain.step(tokens(1, 2))
