"""Guards that stand around every test."""

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx


@pytest.fixture(autouse=True)
def nothing_of_ours_blocks_the_loop() -> Iterator[BlockBuster]:
    """A blocking call in `swarm` while an event loop runs fails the test."""
    with blockbuster_ctx("swarm") as blockbuster:
        yield blockbuster
