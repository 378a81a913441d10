"""What the worker says on stderr is read to the end, whatever it is."""

import asyncio
import logging
from types import SimpleNamespace

import pytest

from swarm.engine.worker_process import WorkerProcess


async def test_a_line_without_end_does_not_stop_the_reading(caplog: pytest.LogCaptureFixture) -> None:
    stderr = asyncio.StreamReader(limit=1000)
    stderr.feed_data(b"first\n" + b"\rprogress" * 1000 + b"\nlast\n")
    stderr.feed_eof()
    with caplog.at_level(logging.WARNING):
        await WorkerProcess(SimpleNamespace(stderr=stderr)).log_stderr()  # type: ignore[arg-type]
    lines = [record.fields["line"] for record in caplog.records]  # type: ignore[attr-defined]
    assert (lines[0], lines[-1]) == ("first", "last")
