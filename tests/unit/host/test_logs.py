"""Log lines as text and as JSON."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from datetime import datetime

import pytest

from swarm.host.console import CLEAR_LINE
from swarm.host.logs import JsonFormatter, TextFormatter, set_up_logging


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def restored_logging() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("swarm")
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])


def record(message: str = "a peer joined", **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("swarm.membership", logging.INFO, __file__, 1, message, None, None)
    made.fields = fields
    return made


def text(**fields: object) -> str:
    return TextFormatter().format(record(**fields)).partition(" ")[2]


def test_text_is_time_level_message_and_fields() -> None:
    time, _, rest = TextFormatter().format(record(node="abc", peers=2)).partition(" ")
    assert datetime.fromisoformat(time)
    assert rest == "info a peer joined node=abc peers=2"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("two words", '"two words"'),
        ("", '""'),
        ('a"b', '"a\\"b"'),
        ("a=b", '"a=b"'),
        (0.1 + 0.2, "0.3"),
        (None, "None"),
    ],
)
def test_values_that_would_be_misread_are_quoted(value: object, shown: str) -> None:
    assert text(value=value) == f"info a peer joined value={shown}"


@pytest.mark.parametrize("evil", ["a\nerror forged", "\x1b[2J", "a\x9b31m", "a\u2028b", "\x7f"])
def test_strangers_text_cannot_forge_a_line_or_move_the_cursor(evil: str) -> None:
    line = TextFormatter().format(record(evil, name=evil))
    assert line.isprintable()


def test_a_record_without_fields_is_fine() -> None:
    made = logging.LogRecord("zeroconf", logging.WARNING, __file__, 1, "%s is gone", ("x",), None)
    assert TextFormatter().format(made).endswith("warning x is gone")
    assert json.loads(JsonFormatter().format(made))["fields"] == {}


def test_a_level_that_a_library_renamed_keeps_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    made = logging.LogRecord("hivemind", logging.WARNING, __file__, 1, "late", (), None)
    monkeypatch.setattr(made, "levelname", "WARN")
    assert TextFormatter().format(made).endswith("warning late")
    assert json.loads(JsonFormatter().format(made))["level"] == "warning"


def test_json_is_one_object_a_line() -> None:
    line = JsonFormatter().format(record("a\nb", node="abc", speed=float("nan"), ids=("a", 1), what=ValueError("no")))
    assert "\n" not in line
    read = json.loads(line)
    assert datetime.fromisoformat(read.pop("time")).tzinfo is not None
    assert read == {
        "level": "info",
        "logger": "swarm.membership",
        "message": "a\nb",
        "fields": {"node": "abc", "speed": "nan", "ids": ["a", 1], "what": "no"},
    }


def test_a_trace_is_part_of_the_entry() -> None:
    made = record()
    try:
        raise ValueError("broken \x1b[2J")
    except ValueError:
        made.exc_info = sys.exc_info()
    assert "ValueError: broken \\x1b[2J" in TextFormatter().format(made)
    assert "ValueError: broken" in json.loads(JsonFormatter().format(made))["trace"]


@pytest.mark.usefixtures("restored_logging")
def test_libraries_are_quiet_unless_they_warn() -> None:
    stream = io.StringIO()
    set_up_logging("info", "text", stream)
    logging.getLogger("zeroconf").info("chatter")
    logging.getLogger("zeroconf").warning("trouble")
    logging.getLogger("swarm.app").info("started")
    logging.getLogger("swarm.app").debug("detail")
    assert [line.split(" ", 2)[2] for line in stream.getvalue().splitlines()] == ["trouble", "started"]


@pytest.mark.usefixtures("restored_logging")
def test_set_up_twice_logs_once() -> None:
    stream = io.StringIO()
    set_up_logging("error", "json", stream)
    set_up_logging("debug", "json", stream)
    logging.getLogger("swarm").debug("detail")
    assert json.loads(stream.getvalue())["message"] == "detail"


@pytest.mark.usefixtures("restored_logging")
def test_on_a_terminal_a_line_replaces_the_progress_bar() -> None:
    stream = Terminal()
    set_up_logging("info", "text", stream)
    logging.getLogger("swarm").info("started")
    assert stream.getvalue().startswith(CLEAR_LINE)
