"""A streamed answer as a client on a host of the LAN sees it: what came, and when."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.lab.daemons import RunningDaemon

PROMPT = "9" * 60
"""The demo model goes on with it up to the end of its context."""


@dataclass(frozen=True, slots=True)
class Piece:
    at: float
    """`time.monotonic`"""
    text: str
    tokens: int


@dataclass
class WatchedStream:
    """One request by curl on the daemon's own host, read in a thread as it comes."""

    daemon: RunningDaemon
    body: dict[str, Any]
    pieces: list[Piece] = field(default_factory=list)
    last: dict[str, Any] | None = None
    """The chunk with the finish reason."""
    error: dict[str, Any] | None = None
    ended_at: float | None = None

    def __post_init__(self) -> None:
        assert self.daemon.host is not None
        asked = {"prompt": PROMPT, "stream": True, "return_token_ids": True, **self.body}
        self._curl = self.daemon.host.start(
            *("curl", "-sN", f"{self.daemon.url}/completions", "-H", "Content-Type: application/json"),
            *("-d", json.dumps(asked)),
            stdout=subprocess.PIPE,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._curl.stdout is not None
        for line in self._curl.stdout:
            if line.startswith("data: {"):
                self._take(json.loads(line[6:]), time.monotonic())
        self.ended_at = time.monotonic()

    def _take(self, chunk: dict[str, Any], now: float) -> None:
        if "error" in chunk:
            self.error = chunk["error"]
            return
        for choice in chunk["choices"]:
            if choice["text"]:
                self.pieces.append(Piece(now, choice["text"], len(choice["token_ids"])))
            if choice["finish_reason"]:
                self.last = chunk

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)

    @property
    def nodes(self) -> list[str]:
        assert self.last is not None, self.error
        return list(self.last["swarm"]["nodes"])

    def wait_for_pieces(self, count: int, timeout_s: float = 30) -> None:
        deadline = time.monotonic() + timeout_s
        while len(self.pieces) < count:
            assert self.ended_at is None, f"it ended with {len(self.pieces)} pieces: {self.error}"
            assert time.monotonic() < deadline, f"{len(self.pieces)} pieces in {timeout_s:g} s"
            time.sleep(0.005)

    def wait(self, timeout_s: float = 60) -> WatchedStream:
        self._reader.join(timeout_s)
        assert not self._reader.is_alive(), f"no end within {timeout_s:g} s; {len(self.pieces)} pieces"
        self._curl.wait(5)
        return self

    def longest_gap_s(self, since: float) -> float:
        """Between two pieces of which the second came after `since`."""
        return max(later.at - earlier.at for earlier, later in pairwise(self.pieces) if later.at > since)
