"""Tokens of several sequences, run as one step, come out as if each sequence ran alone."""

import threading
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.domain.nodes import BlockSpan
from swarm.worker.compute.parts import SpanPart
from swarm.worker.families.blocks import Blocks
from swarm.worker.families.caches import SMALLEST_SHELF, CacheRoom, LayerShape, SequenceCache
from swarm.worker.families.masks import BAND
from tests.unit.worker.test_blocks import FAMILIES, load, make_checkpoint

HIDDEN = 32
BATCHED: dict[str, dict[str, Any]] = {
    "Llama": {},
    "Gemma2": {"head_dim": 8, "sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"] * 2},
    "GPTNeoX": {},
    "GPT2": FAMILIES["GPT2"],
    "Mixtral": FAMILIES["Mixtral"],
    "Mistral": FAMILIES["Mistral"],
    "Qwen2": {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}},
}


@pytest.fixture(scope="module", params=BATCHED)
def blocks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Blocks:
    folder = make_checkpoint(request.param, tmp_path_factory.mktemp(request.param), **BATCHED[request.param])
    loaded = load(folder, 0, 4).blocks
    assert loaded is not None
    return loaded


def sequences(blocks: Blocks, lengths: list[int]) -> tuple[list[SequenceCache], list[torch.Tensor]]:
    """Sequences with a past of these lengths, and the hidden states of 12 tokens that follow it."""
    caches = [blocks.new_cache(BlockSpan(0, 4), length + 12) for length in lengths]
    states = [
        torch.randn(1, length + 12, HIDDEN, generator=torch.Generator().manual_seed(length)) for length in lengths
    ]
    for cache, state, length in zip(caches, states, lengths, strict=True):
        blocks.forward(state[:, :length], cache)
    return caches, [state[:, length:] for state, length in zip(states, lengths, strict=True)]


def test_each_family_batches_and_its_rows_do_not_see_each_other(blocks: Blocks) -> None:
    assert blocks.batches
    lengths = [1, 40, 7, 8, 9, 110, BAND, BAND + 1]
    alone, states = sequences(blocks, lengths)
    together, _ = sequences(blocks, lengths)
    for step in range(12):
        # Who takes part, and in which order, changes with each step.
        part = [at for at in range(len(lengths)) if (at + step) % 4][:: -1 if step % 2 else 1]
        expected = torch.cat([blocks.forward(states[at][:, :1], alone[at]) for at in part])
        for at in part:
            blocks.make_room(together[at])
        made = blocks.forward_rows(torch.cat([states[at][:, :1] for at in part]), [together[at] for at in part])
        torch.testing.assert_close(made, expected, atol=2e-5, rtol=1e-4)
        for at in part:
            states[at] = states[at][:, 1:]
    for cache in (*alone, *together):
        cache.close()


def test_one_that_is_closed_while_its_batch_runs_spoils_no_other(
    blocks: Blocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    caches, states = sequences(blocks, [3, 5])
    tokens = [state[:, :1] for state in states]
    run = blocks.forward_rows

    def close_one_before(hidden: torch.Tensor, rows: list[SequenceCache]) -> torch.Tensor:
        closing = threading.Thread(target=rows[0].close)
        closing.start()
        closing.join(10)
        return run(hidden, rows)

    with monkeypatch.context() as patched:
        patched.setattr(blocks, "forward_rows", close_one_before)
        made = SpanPart(blocks, BlockSpan(0, 4)).run_rows(caches, tokens)
    assert all(isinstance(row, torch.Tensor) and row.isfinite().all() for row in made)
    assert caches[0].shelf is None  # freed all the same, once the step was over
    (problem, row) = SpanPart(blocks, BlockSpan(0, 4)).run_rows(caches, tokens)
    assert isinstance(problem, ValueError)
    assert isinstance(row, torch.Tensor)
    caches[1].close()


def test_sequences_of_different_size_batch_across_shelves(blocks: Blocks) -> None:
    lengths = [SMALLEST_SHELF - 2, 5, SMALLEST_SHELF + 40]
    if blocks.config.model_type == "gpt2":
        pytest.skip("its positions end before")
    alone, states = sequences(blocks, lengths)
    together, _ = sequences(blocks, lengths)
    for step in range(5):  # the first sequence moves to a larger shelf on the way
        now = [state[:, step : step + 1] for state in states]
        expected = torch.cat([blocks.forward(one, cache) for one, cache in zip(now, alone, strict=True)])
        for cache in together:
            blocks.make_room(cache)
        torch.testing.assert_close(blocks.forward_rows(torch.cat(now), together), expected, atol=2e-5, rtol=1e-4)
    for cache in (*alone, *together):
        cache.close()


def test_a_slot_is_blank_for_whoever_has_it_next(blocks: Blocks) -> None:
    broken = blocks.new_cache(BlockSpan(0, 4), 60)
    blocks.forward(torch.full((1, 50, HIDDEN), torch.nan), broken)
    broken.close()
    together, states = sequences(blocks, [3, 30])
    for cache in together:
        blocks.make_room(cache)
    assert blocks.forward_rows(torch.cat([state[:, :1] for state in states]), together).isfinite().all()
    for cache in together:
        cache.close()


def room() -> CacheRoom:
    return CacheRoom({0: LayerShape((2, 4), (1, 8), torch.float32)}, torch.device("cpu"))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 400)), max_size=30))
def test_whatever_is_opened_closed_and_moved_nobody_shares_a_slot(steps: list[tuple[int, int]]) -> None:
    with torch.inference_mode():
        open_close_and_move(steps)


def open_close_and_move(steps: list[tuple[int, int]]) -> None:
    shelves, live = room(), dict[int, SequenceCache]()
    for name, tokens in steps:
        if name in live and tokens % 3 == 0:
            live.pop(name).close()
            continue
        cache = live.setdefault(name, SequenceCache(shelves, BlockSpan(0, 1), 10_000, lambda _: None))
        cache.make_room(tokens)
        cache.past += tokens
        assert cache.shelf is not None
        cache.shelf.keys[0][cache.slot, :, : cache.past] = name
    for name, cache in live.items():
        assert cache.shelf is not None
        assert (cache.shelf.keys[0][cache.slot, :, : cache.past] == name).all()
    for cache in live.values():
        cache.close()
    assert not shelves._shelves


def test_what_is_closed_while_a_step_runs_is_freed_after_it() -> None:
    shelves = room()
    cache = SequenceCache(shelves, BlockSpan(0, 1), 10, lambda _: None)
    cache.make_room(1)
    with shelves.keeping():
        cache.close()
        assert cache.shelf is not None
    shelves.sweep()
    assert cache.shelf is None
    with pytest.raises(ValueError, match="closed"):
        cache.make_room(1)
