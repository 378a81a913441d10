"""Engines with real workers and the demo model, as whole and as cut as the tests and benchmarks want them."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from swarm.engine.engine import Engine
from tests.edge.test_engine_worker import running, wait_until

SLOTS = 9


@contextlib.asynccontextmanager
async def whole_engine(folder: Path) -> AsyncIterator[Engine]:
    """The whole model on one node."""
    async with running(folder, "whole", blocks="none", slots=SLOTS) as engine:
        await wait_until(lambda: engine.state.state == "ready")
        yield engine


@contextlib.asynccontextmanager
async def chain_engine(folder: Path) -> AsyncIterator[Engine]:
    """The first of two nodes, "first" and "last", that have a half each."""
    async with (
        running(folder, "first", blocks="0:3", slots=SLOTS) as first,
        running(folder, "last", blocks="3:6", slots=SLOTS) as last,
    ):
        await wait_until(lambda: first.state.state == "waiting" and last.state.state == "waiting")
        first.introduce(last.state.chain_addresses)
        last.introduce(first.state.chain_addresses)
        await wait_until(lambda: first.state.state == "ready" and last.state.state == "ready")
        yield first
