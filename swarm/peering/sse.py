"""Server-sent events out of bytes as they come, cut anywhere (HTML Living Standard, section 9.2.6). Pure."""

from __future__ import annotations

from swarm.domain.errors import PeerError

EVENT_LIMIT_BYTES = 2**20
"""Of one event, and of one line; a token is a few bytes."""


class SseParser:
    """Gives the data of each event; names, ids and comments are of no use here."""

    def __init__(self, limit_bytes: int = EVENT_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._line = bytearray()
        """Of the line that has not ended yet."""
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._after_return = False
        """The last byte was CR: an LF that follows belongs to the same end of line."""

    def feed(self, data: bytes) -> list[str]:
        """The events that `data` completes. Raises `PeerError` for a line or an event beyond the limit."""
        if self._after_return and data:
            data = data.removeprefix(b"\n")
            self._after_return = False
        if data:
            self._after_return = data.endswith(b"\r")
        first, *rest = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._extend(first)
        events: list[str] = []
        for part in rest:
            line, self._line = bytes(self._line), bytearray()
            events.extend(self._end_of_line(line))
            self._extend(part)
        return events

    def _extend(self, part: bytes) -> None:
        self._line += part
        if len(self._line) > self._limit_bytes:
            raise PeerError("The peer sent a line that is too long; its answer is given up.")

    def _end_of_line(self, line: bytes) -> list[str]:
        if not line:
            return self._end_of_event()
        field, _, value = line.partition(b":")
        if field == b"data":
            value = value.removeprefix(b" ")
            self._data.append(value)
            self._data_bytes += len(value) + 1
            if self._data_bytes > self._limit_bytes:
                raise PeerError("The peer sent an event that is too large; its answer is given up.")
        return []

    def _end_of_event(self) -> list[str]:
        data, self._data, self._data_bytes = self._data, [], 0
        return [b"\n".join(data).decode("utf-8", "replace")] if data else []
