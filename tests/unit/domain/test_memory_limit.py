"""Memory limits as people write them."""

import pytest

from swarm.domain.memory import is_memory_limit, within_limit

GIB = 2**30


@pytest.mark.parametrize("text", ["", "2GiB", "1.5 GiB", "500MB", "50%", "100 %", "0.5TiB"])
def test_sizes_and_shares_are_understood(text: str) -> None:
    assert is_memory_limit(text)


@pytest.mark.parametrize("text", ["2", "2G", "-1GiB", "0GiB", "0%", "101%", "GiB", "1e9MB", "50%%", "٢GiB"])
def test_anything_else_is_not(text: str) -> None:
    assert not is_memory_limit(text)


def test_a_limit_never_gives_more_than_is_free() -> None:
    assert within_limit("", 4 * GIB, 16 * GIB) == 4 * GIB
    assert within_limit("2GiB", 4 * GIB, 16 * GIB) == 2 * GIB
    assert within_limit("8GiB", 4 * GIB, 16 * GIB) == 4 * GIB
    assert within_limit("12.5%", 4 * GIB, 16 * GIB) == 2 * GIB
    assert within_limit("500MB", 4 * GIB, 16 * GIB) == 500_000_000
