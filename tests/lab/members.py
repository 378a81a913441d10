"""Members on the hosts of a LAN, and what each of them saw when."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.host import Host

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Row:
    node: str
    boot: str
    standing: str


@dataclass(frozen=True, slots=True)
class View:
    """What a member told: an event, and its table as it was after it."""

    at: float
    """Monotonic time in s, the same on all hosts."""
    event: str
    node: str
    boot: str
    reason: str
    rows: tuple[Row, ...]

    def lists_alive(self, nodes: Iterable[str]) -> bool:
        return set(nodes) <= {row.node for row in self.rows if row.standing == "alive"}

    def lists(self, node: str) -> bool:
        """As alive or suspect."""
        return any(row.node == node and row.standing != "candidate" for row in self.rows)


Fact = Callable[[View], bool]


class Member:
    """One `python -m tests.lab.member` on a host. The same folder is the same identity."""

    def __init__(self, host: Host, folder: Path, *arguments: str) -> None:
        self.host = host
        self.views: list[View] = []
        self._news = threading.Condition()
        self._ended = False
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "log").open("a") as log:
            self.process = host.start(
                *(sys.executable, "-m", "tests.lab.member", "--data-dir", str(folder), *arguments),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        self._log = folder / "log"
        self._reader = threading.Thread(target=self._read, name=f"views of {host.name}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.views.append(_view(json.loads(line)))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    # -- what it says -------------------------------------------------------------------------------------------------

    def ready(self) -> View:
        return self.view(lambda view: view.event == "ready", "ready")

    def loaded(self) -> View:
        return self.view(lambda view: view.event == "loaded", "loaded")

    @property
    def node(self) -> str:
        return self.ready().node

    def view(self, fact: Fact, what: str, since: float = 0.0, within_s: float = PATIENCE_S) -> View:
        """The first view after `since` in which `fact` holds. `AssertionError` where none comes."""
        with self._news:
            self._news.wait_for(lambda: self._ended or self._first(fact, since), timeout=within_s)
            came = self._first(fact, since)
        if came is None:
            raise AssertionError(f"{self.host.name}: not within {within_s:g} s: {what}\n{self.story()}")
        return came

    def when(self, fact: Fact, what: str, since: float, within_s: float = PATIENCE_S) -> float:
        """Seconds from `since` until its table is such; 0 where it was already."""
        last = [view for view in tuple(self.views) if view.at <= since][-1:]
        if last and fact(last[0]):
            return 0.0
        return self.view(fact, what, since, within_s).at - since

    def events(self, kind: str, since: float = 0.0) -> list[View]:
        return [view for view in tuple(self.views) if view.event == kind and view.at > since]

    def story(self) -> str:
        return "\n".join(map(str, tuple(self.views))) + "\n" + self._log.read_text()

    def _first(self, fact: Fact, since: float) -> View | None:
        return next((view for view in self.views if view.at > since and fact(view)), None)

    # -- what is done to it -------------------------------------------------------------------------------------------

    def go(self) -> None:
        """For one that was started with `--wait-for-go`."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def send(self, number: signal.Signals) -> float:
        """When it was sent."""
        at = time.monotonic()
        self.host.signal(self.process, number)
        return at

    def wait(self) -> int:
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return code

    def kill(self) -> float:
        at = self.send(signal.SIGKILL)
        self.wait()
        return at

    def stop(self) -> float:
        at = self.send(signal.SIGTERM)
        code = self.wait()
        assert code == 0, f"exit code {code}\n{self.story()}"
        return at


def wait_until_alive(members: Iterable[Member], since: float = 0.0, within_s: float = PATIENCE_S) -> None:
    """Each lists all others alive."""
    members = tuple(members)
    nodes = {member.node for member in members}
    for member in members:
        member.when(all_alive(nodes - {member.node}), "all others alive", since, within_s)


def all_alive(nodes: Collection[str]) -> Fact:
    return lambda view: view.lists_alive(nodes)


def not_alive(node: str) -> Fact:
    return lambda view: not view.lists_alive([node])


def gone(node: str) -> Fact:
    return lambda view: not view.lists(node)


def one_row_alive(node: str, boot: str) -> Fact:
    """Of that run of the node, and no other."""
    return lambda view: [(row.boot, row.standing) for row in view.rows if row.node == node] == [(boot, "alive")]


def _view(plain: dict[str, Any]) -> View:
    rows = tuple(Row(*row) for row in plain["rows"])
    return View(
        plain["at"], plain["event"], plain.get("node", ""), plain.get("boot", ""), plain.get("reason", ""), rows
    )
