"""Engines with real workers that the tests of one file share: a start costs seconds of the processor."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from swarm.engine.engine import Engine
from tests.edge.engines import chain_engine, whole_engine


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def whole(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    """The demo model on one node. Its tests run in the loop of their module."""
    async with whole_engine(tmp_path_factory.mktemp("whole")) as engine:
        yield engine


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chain(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    """The first of two nodes that have a half each."""
    async with chain_engine(tmp_path_factory.mktemp("chain")) as engine:
        yield engine
