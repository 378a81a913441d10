"""A sequence over several nodes gives the same result whichever of them die on the way."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.domain.nodes import BlockSpan
from swarm.worker.chain import session
from swarm.worker.chain.routing import Hop, Offer, missing_blocks
from swarm.worker.failures import BlocksMissing

LAYERS = 6


class World:
    """Nodes that can die and come back; what each block computes depends on all that it was fed before."""

    layers = LAYERS

    def __init__(self, offered: dict[str, BlockSpan]) -> None:
        self.offered, self.dead = offered, set[str]()
        self.opened = 0

    @property
    def missing(self) -> tuple[BlockSpan, ...]:
        return missing_blocks(self.offers(), LAYERS)

    def offers(self, without: frozenset[str] = frozenset()) -> list[Offer]:
        return [Offer(server, span) for server, span in self.offered.items() if server not in self.dead | without]

    def open(self, hop: Hop) -> "Runner":
        self.opened += 1
        return Runner(self, hop)


class Runner:
    def __init__(self, world: World, hop: Hop) -> None:
        self.world, self.hop, self.sums = world, hop, torch.zeros(len(hop.span))
        self.closed = False

    def step(self, hidden: torch.Tensor) -> torch.Tensor:
        if self.hop.server in self.world.dead:
            raise session.HopFailed("dead")
        made = hidden.clone()
        for layer in range(len(self.hop.span)):
            for token in range(made.shape[1]):
                self.sums[layer] += made[0, token, 0]
                made[0, token, 0] = made[0, token, 0] * 0.5 + self.sums[layer] * 0.1 + self.hop.span.start + layer
        return made

    def close(self) -> None:
        self.closed = True


def tokens(count: int, seed: int) -> torch.Tensor:
    return torch.rand(1, count, 1, generator=torch.Generator().manual_seed(seed))


def undisturbed(steps: list[torch.Tensor]) -> list[torch.Tensor]:
    with session.ChainSession(world := World({"all": BlockSpan(0, LAYERS)}), world.open) as chain:
        return [chain.step(step) for step in steps]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(1, 5), min_size=1, max_size=8))
def test_deaths_on_the_way_change_nothing_while_others_serve_the_blocks(seed: int, sizes: list[int]) -> None:
    rng = random.Random(seed)
    world = World(
        {
            "a": BlockSpan(0, 3),
            "b": BlockSpan(3, 6),
            "c": BlockSpan(0, 2),
            "d": BlockSpan(2, 5),
            "e": BlockSpan(4, 6),
            "rock": BlockSpan(0, 1),
            "solid": BlockSpan(1, 6),
        }
    )
    steps = [tokens(size, seed + at) for at, size in enumerate(sizes)]
    made = []
    with session.ChainSession(world, world.open) as chain:
        for step in steps:
            world.dead = {name for name in "abcde" if rng.random() < 0.4}
            made.append(chain.step(step))
    for got, expected in zip(made, undisturbed(steps), strict=True):
        torch.testing.assert_close(got, expected)


def test_a_long_prompt_goes_in_pieces_and_comes_out_whole() -> None:
    long = tokens(session.CHUNK_TOKENS * 2 + 7, 1)
    assert undisturbed([long])[0].shape == long.shape


def test_blocks_that_nobody_serves_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World({"a": BlockSpan(0, 3)})
    with pytest.raises(BlocksMissing, match="3:6"), session.ChainSession(world, world.open):
        pass


def test_a_node_that_is_lost_for_good_ends_the_answer_with_the_missing_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "REPAIR_S", 0.02)
    monkeypatch.setattr(session, "SEARCH_EVERY_S", 0.005)
    world = World({"a": BlockSpan(0, 3), "b": BlockSpan(3, 6)})
    with session.ChainSession(world, world.open) as chain:
        chain.step(tokens(3, 1))
        world.dead = {"b"}
        with pytest.raises(BlocksMissing, match="3:6"):
            chain.step(tokens(1, 2))


def test_a_node_that_comes_back_in_time_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "SEARCH_EVERY_S", 0.001)
    world = World({"a": BlockSpan(0, 3), "b": BlockSpan(3, 6)})
    steps = [tokens(3, 1), tokens(1, 2)]
    with session.ChainSession(world, world.open) as chain:
        made = [chain.step(steps[0])]
        world.dead = {"b"}
        monkeypatch.setattr(session.time, "sleep", lambda _: world.dead.clear())
        made.append(chain.step(steps[1]))
    for got, expected in zip(made, undisturbed(steps), strict=True):
        torch.testing.assert_close(got, expected)
