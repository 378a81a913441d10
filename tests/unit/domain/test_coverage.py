"""How often blocks are served, what would fill a gap, and how many nodes may die."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from swarm.domain.coverage import coverage_of, strength, what_is_unserved
from swarm.domain.nodes import BlockSpan, Coverage, Stretch

GIB = 2**30


def test_stretches_follow_each_other_from_the_first_block_to_the_last() -> None:
    coverage = coverage_of([BlockSpan(0, 4), BlockSpan(2, 6)], 8)
    expected = [(0, 2, 1), (2, 4, 2), (4, 6, 1), (6, 8, 0)]
    assert coverage.stretches == tuple(Stretch(BlockSpan(start, end), nodes) for start, end, nodes in expected)
    assert coverage.missing == (BlockSpan(6, 8),)


def test_what_is_missing_names_the_command_and_the_memory() -> None:
    words = what_is_unserved((BlockSpan(0, 2), BlockSpan(5, 6)), GIB)
    assert words == (
        "blocks 0:2, 5:6 are not served by anyone; start 2 more nodes with --blocks 0:2 (2.9 GiB of memory) "
        "and --blocks 5:6 (1.4 GiB of memory)"
    )
    assert what_is_unserved((BlockSpan(5, 6),)) == (
        "block 5:6 is not served by anyone; start one more node with --blocks 5:6"
    )


def test_strength_says_how_many_may_die() -> None:
    whole = BlockSpan(0, 6)
    assert (
        strength(coverage_of([whole], 6)) == "blocks 0:6 are served by one node only, whose death would stop the model"
    )
    assert strength(coverage_of([whole] * 2, 6)) == "each block is served by at least 2 nodes; any one of them may die"
    assert strength(coverage_of([whole] * 3, 6)).endswith("any 2 of them may die")
    assert strength(coverage_of([], 6)).startswith("blocks 0:6 are not served")
    assert Coverage().survives == 0


spans = st.tuples(st.integers(0, 5), st.integers(1, 6)).map(lambda pair: BlockSpan(pair[0], min(6, sum(pair))))


@given(st.lists(spans, max_size=5))
def test_survives_is_the_smallest_cut_less_one(served: list[BlockSpan]) -> None:
    def is_whole(left: list[BlockSpan]) -> bool:
        return not coverage_of(left, 6).missing

    if not is_whole(served):
        assert coverage_of(served, 6).survives == 0
        return
    cut = min(
        size
        for size in range(1, len(served) + 1)
        if any(not is_whole(list(left)) for left in combinations(served, len(served) - size))
    )
    assert coverage_of(served, 6).survives == cut - 1
