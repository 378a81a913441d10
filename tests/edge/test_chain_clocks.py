"""Nodes whose clocks differ by more than a record lives form a chain all the same."""

import asyncio
import sys
from pathlib import Path

import pytest

from swarm.domain.nodes import BlockSpan
from tests.edge.test_engine_worker import answer, request, running, text, wait_until

AHEAD_S = 90.0
SHIFTED = """#!/bin/sh
exec "{python}" -c "
import time
real = time.time
time.time = lambda: real() + {ahead_s}
from swarm.worker.main import main
raise SystemExit(main())"
"""
"""The worker, with another time of day."""


async def test_a_clock_that_is_far_ahead_keeps_no_chain_from_forming(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapper = tmp_path / "python"
    wrapper.write_text(SHIFTED.format(python=sys.executable, ahead_s=AHEAD_S))
    wrapper.chmod(0o755)
    async with running(tmp_path, "right", blocks="0:3") as right:
        await wait_until(lambda: right.state.complete)
        monkeypatch.setattr(sys, "executable", str(wrapper))
        async with running(tmp_path, "ahead", blocks="3:6") as ahead:
            await wait_until(lambda: ahead.state.complete)
            assert (right.state.missing, ahead.state.missing) == ((BlockSpan(3, 6),), (BlockSpan(0, 3),))
            right.introduce(ahead.state.chain_addresses)
            ahead.introduce(right.state.chain_addresses)
            await wait_until(lambda: right.state.state == ahead.state.state == "ready")
            answers = await asyncio.gather(*(answer(engine, request()) for engine in (right, ahead)))
            for deltas in answers:
                assert text(deltas).endswith("The answer is 35.")
