"""Logs: constant sentences with fields, on stderr, as text for people or JSON lines for collectors.

The one convention, for all parts: a constant message, and what varies in `fields`:

    logger.info("a peer joined", extra={"fields": {"node": node, "round_trip_s": 0.004}})

Text of prompts and answers is never a field.
"""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO, get_args

from swarm.host.console import CLEAR_LINE
from swarm.host.settings import LogFormat, LogLevel

_LEVELS: dict[int, str] = {getattr(logging, level.upper()): level for level in get_args(LogLevel)}


def set_up_logging(level: LogLevel = "info", format: LogFormat = "text", stream: TextIO | None = None) -> None:
    """Replaces the root logger's handlers. Libraries are heard from `warning` up; at `debug`, from `info` up."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter(CLEAR_LINE if stream.isatty() else ""))
    root, ours = logging.getLogger(), logging.getLogger("swarm")
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    ours.setLevel(level.upper())
    root.setLevel(logging.INFO if level == "debug" else max(ours.level, logging.WARNING))


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.000 info a peer joined node=abc`, in local time."""

    def __init__(self, prefix: str = "") -> None:
        super().__init__()
        self._prefix = prefix

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).isoformat(timespec="milliseconds")
        pairs = "".join(f" {name}={_quoted(value)}" for name, value in _fields(record).items())
        line = f"{self._prefix}{time} {_level(record)} {printable(record.getMessage())}{pairs}"
        return f"{line}\n{trace}" if (trace := _trace(self, record)) else line


class JsonFormatter(logging.Formatter):
    """One object a line: `time` (UTC), `level`, `logger`, `message`, `fields`, and `trace` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": _level(record),
            "logger": record.name,
            "message": record.getMessage(),
            "fields": {name: _plain(value) for name, value in _fields(record).items()},
        }
        return json.dumps(line | ({"trace": trace} if (trace := _trace(self, record)) else {}))


def printable(text: str, keep: str = "") -> str:
    """Escapes what could move a terminal's cursor or forge a second line: names and errors come from strangers too."""
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def _level(record: logging.LogRecord) -> str:
    """Not `levelname`, which libraries rename for the whole process: hivemind's warnings are `WARN`."""
    return _LEVELS.get(record.levelno) or record.levelname.lower()


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    fields = getattr(record, "fields", None)
    return fields if isinstance(fields, Mapping) else {}


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """Of an exception here, or of one in the worker, which comes as text."""
    trace = formatter.formatException(record.exc_info) if record.exc_info else record.stack_info or ""
    return printable(trace, keep="\n")


def _quoted(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    is_bare = text.isprintable() and text and not set(text) & set(' "=')
    return text if is_bare else f'"{printable(text).replace(chr(34), chr(92) + chr(34))}"'


def _plain(value: Any) -> Any:
    """JSON has no word for a number that is not finite, and a log line must never fail for a strange value."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    is_plain = value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
    return value if is_plain else str(value)
