"""Guards that stand around every test."""

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import HealthCheck, settings

from swarm.domain.nodes import BlockSpan
from swarm.wire.codec import from_plain

# A busy machine is no fault of what is tested.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
# pydantic looks for its plugins on the disk when it is used first; not in the middle of a test of the loop.
from_plain(BlockSpan, {"start": 0, "end": 1})


@pytest.fixture(autouse=True)
def nothing_of_ours_blocks_the_loop() -> Iterator[BlockBuster]:
    """A blocking call in `swarm` while an event loop runs fails the test."""
    with blockbuster_ctx("swarm") as blockbuster:
        yield blockbuster
