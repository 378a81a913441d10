"""The attention caches of other nodes' sessions stay within a budget, and come back to it."""

from collections.abc import Callable

import pytest
import torch

from swarm.domain.nodes import BlockSpan
from swarm.worker.chain.cache_budget import CacheFull, SpanCache
from swarm.worker.families.caches import SMALLEST_SHELF, CacheRoom, LayerShape, SequenceCache

TOKEN_BYTES = 2 * 2 * 4 * 4
"""Keys and values of two heads of size 4 in float32."""


def sequence(max_tokens: int, reserve: Callable[[int], None]) -> SequenceCache:
    shape = LayerShape((2, 4), (2, 4), torch.float32)
    return SequenceCache(CacheRoom({0: shape}, torch.device("cpu")), BlockSpan(0, 1), max_tokens, reserve)


def feed(cache: SequenceCache, tokens: int) -> None:
    cache.make_room(tokens)
    cache.past += tokens


def test_a_session_takes_what_it_holds_and_not_what_it_may_grow_to() -> None:
    budget = SpanCache(2 * SMALLEST_SHELF * TOKEN_BYTES)
    with budget.session() as reserve:
        cache = sequence(1_000_000, reserve)
        feed(cache, 1)
        assert budget.used_bytes == SMALLEST_SHELF * TOKEN_BYTES
        feed(cache, SMALLEST_SHELF)
        assert budget.bytes_left == 0
        with pytest.raises(CacheFull, match="cache is full"):
            feed(cache, SMALLEST_SHELF)
    assert budget.used_bytes == 0


def test_all_sessions_together_stay_within_the_budget() -> None:
    budget = SpanCache(SMALLEST_SHELF * TOKEN_BYTES)
    with budget.session() as first:
        feed(sequence(1000, first), 1)
        with budget.session() as second, pytest.raises(CacheFull):
            feed(sequence(1000, second), 1)
    with budget.session() as third:
        feed(sequence(1000, third), 1)


def test_a_step_that_outlives_its_session_takes_nothing() -> None:
    budget = SpanCache(1000)
    with budget.session() as reserve:
        pass
    with pytest.raises(CacheFull):
        reserve(1)
    assert budget.used_bytes == 0
