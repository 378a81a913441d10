"""Real daemons, here or on a host of a throw-away LAN: started, waited for by their ready line, stopped and checked."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.lab.lan import Host

ROOT = Path(__file__).parents[2]
READY_S = 120.0
STOP_S = 40.0


class RunningDaemon:
    """One `python main.py …`. `url` and `node` are known once it is ready."""

    def __init__(self, folder: Path, arguments: tuple[str, ...], host: Host | None) -> None:
        self.folder, self.host = folder, host
        self.url = self.node = ""
        self._log = (folder.parent / f"{folder.name}.log").open("w+")
        command = [sys.executable, str(ROOT / "main.py"), *arguments, "--data-dir", str(folder)]
        streams = {"stdout": subprocess.PIPE, "stderr": self._log}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SWARM_")}
        if host:
            self.process = host.start(*command, **streams, env=environment)
        else:
            self.process = subprocess.Popen(command, text=True, **streams, env=environment)  # type: ignore[call-overload]

    @property
    def log(self) -> str:
        self._log.flush()
        return Path(self._log.name).read_text()

    def wait_until_ready(self, within_s: float = READY_S) -> RunningDaemon:
        lines: list[str] = []
        output = self.process.stdout
        assert output is not None
        reader = threading.Thread(target=lambda: lines.append(output.readline()), daemon=True)
        reader.start()
        reader.join(within_s)
        if not lines or not lines[0]:
            raise AssertionError(f"not ready within {within_s:g} s:\n{self.log}")
        ready = json.loads(lines[0])
        assert ready["event"] == "ready"
        self.url, self.node = ready["url"], ready["node"]
        return self

    def wait_until_listening(self) -> RunningDaemon:
        """It answers HTTP, seconds before its model is there. On a LAN only, where the port is the usual one."""
        assert self.host is not None
        self.url = f"http://{self.host.address}:17615/v1"
        ask = self.host.inside("curl", "-so", "/dev/null", "--max-time", "1", f"{self.url}/federation/health")
        wait_until(lambda: subprocess.run(ask, check=False).returncode == 0, "HTTP")
        return self

    def wait_until_logged(self, text: str) -> None:
        wait_until(lambda: text in self.log, f"{text!r} in the log")

    def send_signal(self, number: signal.Signals) -> None:
        """To the daemon itself; on a LAN it is the child of `nsenter`."""
        if self.host:
            self.host.signal(self.process, number)
        else:
            self.process.send_signal(number)

    def get(self, path: str, timeout_s: float = 10) -> Any:
        return self._http(path, None, timeout_s)

    def post(self, path: str, body: dict[str, Any], timeout_s: float = 60) -> Any:
        return self._http(path, body, timeout_s)

    def _http(self, path: str, body: dict[str, Any] | None, timeout_s: float) -> Any:
        """From the daemon's own host: by curl, which enters its namespace."""
        address = self.url.removesuffix("/v1") + path
        command = ["curl", "-sS", "--max-time", str(timeout_s), address]
        if body is not None:
            command += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
        done = subprocess.run(
            self.host.inside(*command) if self.host else command, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr + self.log
        return json.loads(done.stdout)

    def stop(self) -> None:
        """A clean end, and nothing left behind."""
        if self.process.poll() is None:
            self.send_signal(signal.SIGTERM)
        code = self.process.wait(STOP_S)
        self.close()
        assert code == 0, f"exit code {code}\n{Path(self._log.name).read_text()}"

    def close(self) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                self.send_signal(signal.SIGKILL)
            self.process.wait(STOP_S)
        if self.process.stdout:
            self.process.stdout.close()
        self._log.close()


class Daemons:
    """Starts daemons; a context manager that ends those still running."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[RunningDaemon] = []

    def __enter__(self) -> Daemons:
        return self

    def __exit__(self, *_: object) -> None:
        for daemon in self._started:
            daemon.close()

    def start(self, *arguments: str, on: Host | None = None, name: str = "") -> RunningDaemon:
        folder = self._folder / (name or f"node{len(self._started) + 1}")
        daemon = RunningDaemon(folder, arguments, on)
        self._started.append(daemon)
        return daemon


def wait_until(fact: Callable[[], object], what: str, timeout_s: float = 30) -> None:
    """Polls a fact of another process; raises `AssertionError` with `what` when it does not come true."""
    deadline = time.monotonic() + timeout_s
    while not fact():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        time.sleep(0.05)


def http_status(url: str, timeout_s: float = 5) -> int | None:
    """None where nobody listens."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except (urllib.error.URLError, OSError):
        return None


def server_events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The JSON of each `data:` line of an event stream, up to `[DONE]`."""
    for line in lines:
        if line.startswith("data: ") and line.strip() != "data: [DONE]":
            yield json.loads(line[6:])
