"""What the worker says on stderr is read to the end, whatever it is, and what it logs is logged here."""

import asyncio
import logging
from types import SimpleNamespace

import pytest

from swarm.engine.worker_process import WorkerProcess
from swarm.host.logs import TextFormatter
from swarm.wire.worker_events import Logged, Pong
from swarm.wire.worker_messages import to_frame


async def test_a_line_without_end_does_not_stop_the_reading(caplog: pytest.LogCaptureFixture) -> None:
    stderr = asyncio.StreamReader(limit=1000)
    stderr.feed_data(b"first\n" + b"\rprogress" * 1000 + b"\nlast\n")
    stderr.feed_eof()
    with caplog.at_level(logging.WARNING):
        await WorkerProcess(SimpleNamespace(stderr=stderr)).log_stderr()  # type: ignore[arg-type]
    lines = [record.fields["line"] for record in caplog.records]  # type: ignore[attr-defined]
    assert (lines[0], lines[-1]) == ("first", "last")


def worker_that_says(*events: Logged | Pong) -> WorkerProcess:
    stdout = asyncio.StreamReader()
    stdout.feed_data(b"".join(map(to_frame, events)))
    stdout.feed_eof()
    return WorkerProcess(SimpleNamespace(stdout=stdout))  # type: ignore[arg-type]


async def test_what_it_logs_is_logged_with_its_fields_and_is_no_event(caplog: pytest.LogCaptureFixture) -> None:
    line = Logged(logging.WARNING, "swarm.worker.chain", "a hop is in trouble", {"node": "abc"}, "Traceback\n  here")
    with caplog.at_level(logging.WARNING):
        said = [event async for event in worker_that_says(line, Pong()).events()]
    assert said == [Pong()]
    (record,) = caplog.records
    shown = TextFormatter().format(record).partition(" ")[2]
    assert shown == "warning a hop is in trouble node=abc\nTraceback\n  here"


async def test_what_is_below_the_daemons_level_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "swarm"):
        [_ async for _ in worker_that_says(Logged(logging.INFO, "swarm.worker.chain", "all is well", {})).events()]
    assert caplog.records == []
