"""Engines with real workers that the tests of one file share: a start costs seconds of the processor."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from swarm.engine.engine import Engine
from tests.edge.test_engine_worker import running, wait_until

SLOTS = 9


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def whole(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    """The demo model on one node. Its tests run in the loop of their module."""
    async with running(tmp_path_factory.mktemp("whole"), "whole", blocks="none", slots=SLOTS) as engine:
        await wait_until(lambda: engine.state.state == "ready")
        yield engine


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chain(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    """The first of two nodes, "first" and "last", that have a half each."""
    folder = tmp_path_factory.mktemp("chain")
    async with (
        running(folder, "first", blocks="0:3", slots=SLOTS) as first,
        running(folder, "last", blocks="3:6", slots=SLOTS) as last,
    ):
        await wait_until(lambda: first.state.state == "waiting" and last.state.state == "waiting")
        first.introduce(last.state.chain_addresses)
        last.introduce(first.state.chain_addresses)
        await wait_until(lambda: first.state.state == "ready" and last.state.state == "ready")
        yield first
