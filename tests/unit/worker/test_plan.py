"""What is loaded and served follows from the settings and the memory."""

import pytest

from swarm.domain.nodes import BlockSpan
from swarm.worker.failures import LoadFailure
from swarm.worker.plan import Sizes, plan_load

ROOMY = Sizes(layers=10, layer_bytes=100, ends_bytes=50, free_bytes=10_000)
TIGHT = Sizes(layers=10, layer_bytes=100, ends_bytes=50, free_bytes=600)


def test_a_model_that_fits_is_loaded_and_served_whole() -> None:
    plan = plan_load("auto", "auto", ROOMY)
    assert (plan.load, plan.serve) == (BlockSpan(0, 10), BlockSpan(0, 10))


def test_of_a_model_that_does_not_fit_as_many_blocks_as_fit_are_to_be_placed() -> None:
    plan = plan_load("auto", "auto", TIGHT)
    assert (plan.load, plan.count) == (None, 3)
    assert "3 of 10 blocks fit" in plan.why
    assert plan.placed(BlockSpan(4, 7)).serve == BlockSpan(4, 7)


def test_named_blocks_are_loaded_and_served() -> None:
    plan = plan_load("3:6", "auto", ROOMY)
    assert (plan.load, plan.serve) == (BlockSpan(3, 6), BlockSpan(3, 6))


def test_no_blocks_is_the_whole_model_where_it_fits_and_only_the_ends_where_not() -> None:
    assert plan_load("none", "auto", ROOMY).load == BlockSpan(0, 10)
    assert plan_load("none", "auto", ROOMY).serve is None
    assert plan_load("none", "auto", TIGHT).load is None
    assert plan_load("none", "chain", ROOMY).load is None


def test_engine_local_loads_the_whole_model_whatever_is_served() -> None:
    assert plan_load("3:6", "local", ROOMY).load == BlockSpan(0, 10)
    assert plan_load("3:6", "local", ROOMY).serve == BlockSpan(3, 6)


@pytest.mark.parametrize("blocks", ["0", "11", "4:4", "6:3", "3:11", "a:b", "3:"])
def test_blocks_that_the_model_does_not_have_are_refused_by_name(blocks: str) -> None:
    with pytest.raises(LoadFailure, match=f"--blocks {blocks}"):
        plan_load(blocks, "auto", ROOMY)
