"""The attention caches of other nodes' sessions stay within a budget, and come back to it."""

import pytest
import torch

from swarm.worker.chain.cache_budget import CacheFull, SpanCache
from swarm.worker.families.blocks import FIRST_CAPACITY, LayerCache

TOKEN_BYTES = 2 * 2 * 4 * 4
"""Keys and values of two heads of size 4 in float32."""


def feed(cache: LayerCache, tokens: int) -> None:
    piece = torch.zeros(1, 2, tokens, 4)
    cache.update(piece, piece)
    cache.past += tokens


def test_a_session_takes_what_it_holds_and_not_what_it_may_grow_to() -> None:
    budget = SpanCache(2 * FIRST_CAPACITY * TOKEN_BYTES)
    with budget.session() as reserve:
        cache = LayerCache(1_000_000, reserve)
        feed(cache, 1)
        assert budget.used_bytes == FIRST_CAPACITY * TOKEN_BYTES
        feed(cache, FIRST_CAPACITY)
        assert budget.bytes_left == 0
        with pytest.raises(CacheFull, match="cache is full"):
            feed(cache, FIRST_CAPACITY)
    assert budget.used_bytes == 0


def test_all_sessions_together_stay_within_the_budget() -> None:
    budget = SpanCache(FIRST_CAPACITY * TOKEN_BYTES)
    with budget.session() as first:
        feed(LayerCache(1000, first), 1)
        with budget.session() as second, pytest.raises(CacheFull):
            feed(LayerCache(1000, second), 1)
    with budget.session() as third:
        feed(LayerCache(1000, third), 1)


def test_a_step_that_outlives_its_session_takes_nothing() -> None:
    budget = SpanCache(1000)
    with budget.session() as reserve:
        pass
    with pytest.raises(CacheFull):
        reserve(1)
    assert budget.used_bytes == 0
