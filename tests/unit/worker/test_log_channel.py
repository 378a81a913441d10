"""What the worker logs keeps its form on the way to the daemon."""

import logging
import math
import sys

import pytest

from swarm.wire.worker_events import Logged
from swarm.wire.worker_messages import from_body, to_frame
from swarm.worker.log_channel import LogChannel, logged


def record(message: str = "a hop is in trouble", *arguments: object, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("swarm.worker.chain", logging.WARNING, __file__, 1, message, arguments, None)
    made.fields = fields
    return made


def sent(line: logging.LogRecord) -> Logged:
    message = from_body(to_frame(logged(line))[4:])
    assert isinstance(message, Logged)
    return message


def test_level_name_message_and_fields_arrive() -> None:
    line = sent(record(node="abc", now=["x", "y"], after_s=0.5))
    assert (line.level, line.logger, line.message) == (logging.WARNING, "swarm.worker.chain", "a hop is in trouble")
    assert line.fields == {"node": "abc", "now": ["x", "y"], "after_s": 0.5}


def test_a_message_with_arguments_arrives_filled_in() -> None:
    assert sent(record("%s has no chat template", "tiny")).message == "tiny has no chat template"


@pytest.mark.parametrize("strange", [math.nan, math.inf, 2**70, -(2**70), object(), {"a": 1}, [math.nan]])
def test_a_strange_value_never_stops_the_worker(strange: object) -> None:
    assert "value" in sent(record(value=strange)).fields


def test_an_exception_arrives_with_its_trace() -> None:
    try:
        raise ValueError("no such block")
    except ValueError:
        line = record()
        line.exc_info = sys.exc_info()
    assert sent(line).trace.endswith("ValueError: no such block")


def test_a_line_that_cannot_be_sent_is_not_an_error_of_who_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Logged) -> None:
        raise RuntimeError

    handler = LogChannel(refuse)
    monkeypatch.setattr(handler, "handleError", lambda _: None)
    handler.emit(record())
