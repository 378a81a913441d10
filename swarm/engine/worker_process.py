"""The worker as a child process: frames to its stdin, frames from its stdout, its log and its stderr into our log."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

from swarm.domain.errors import BackendError
from swarm.wire.codec import MalformedMessage
from swarm.wire.worker_commands import Command, Stop
from swarm.wire.worker_events import Event, Logged
from swarm.wire.worker_messages import FOLDER_PREFIX, FRAME_LIMIT, HEADER, from_body, to_frame

logger = logging.getLogger(__name__)

STOP_S = 5.0
"""How long a worker may take to free everything before its whole process group is killed."""


class WorkerProcess:
    """A running worker. Built by `start_worker`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, command: Command) -> None:
        """Queues a command; one to a worker that is gone is dropped, as its end is told by `events`."""
        assert self._process.stdin is not None
        if not self._process.stdin.is_closing():
            self._process.stdin.write(to_frame(command))

    async def events(self) -> AsyncGenerator[Event, None]:
        """Ends when the worker closes its side; raises `BackendError` where it says something malformed.

        Lines of its log go into ours."""
        assert self._process.stdout is not None
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                (length,) = HEADER.unpack(await self._process.stdout.readexactly(HEADER.size))
                if length > FRAME_LIMIT:
                    raise BackendError(f"The worker announced a message of {length} bytes")
                try:
                    event = from_body(await self._process.stdout.readexactly(length))
                except MalformedMessage as error:
                    raise BackendError(f"The worker said something malformed: {error}") from error
                if isinstance(event, Logged):
                    _log(event)
                else:
                    yield event  # type: ignore[misc]

    async def log_stderr(self) -> None:
        """Until it is closed, whatever comes: once nobody reads it, the worker hangs as soon as the pipe is full."""
        assert self._process.stderr is not None
        while not self._process.stderr.at_eof():
            with contextlib.suppress(ValueError):  # a line longer than the stream's limit is dropped
                line = (await self._process.stderr.readline()).decode(errors="replace").strip()
                if line:
                    logger.warning("the worker says", extra={"fields": {"line": line[:500]}})

    async def end(self) -> str:
        """Stops the worker, by force after `STOP_S`, and everything that it started. Says how it ended."""
        self.send(Stop())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), STOP_S)
        self.kill()
        return _ending(await self._process.wait())

    def kill(self) -> None:
        """Ends the worker's process group: the worker, and libp2p's daemon that it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def wait(self) -> str:
        return _ending(await self._process.wait())


def _log(line: Logged) -> None:
    """As if this process had logged it."""
    there = logging.getLogger(line.logger)
    if there.isEnabledFor(line.level):
        told = {"name": line.logger, "levelno": line.level, "levelname": logging.getLevelName(line.level)}
        text = {"msg": line.message, "fields": line.fields, "stack_info": line.trace or None}
        there.handle(logging.makeLogRecord({**told, **text}))


def _ending(code: int) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"it was ended by {signal.Signals(-code).name}"
    return f"it ended with exit code {code}"


@contextlib.asynccontextmanager
async def start_worker() -> AsyncIterator[WorkerProcess]:
    """A worker in a session and a temporary folder of its own; nothing of it is left when the block is left."""
    folder = await asyncio.to_thread(_short_folder)
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "swarm.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            env={**_environment(), "TMPDIR": folder},
        )
        worker = WorkerProcess(process)
        try:
            yield worker
        finally:
            await _end(worker)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _end(worker: WorkerProcess) -> None:
    """Also where the wait itself is cancelled: then by force."""
    ending = asyncio.ensure_future(worker.end())
    try:
        await asyncio.shield(ending)
    except asyncio.CancelledError:
        worker.kill()
        await ending
        raise


def _short_folder() -> str:
    """For libp2p's sockets, whose paths may have about 100 characters only."""
    return tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir="/tmp" if os.access("/tmp", os.W_OK) else None)


def _environment() -> dict[str, str]:
    """Ours, with this package importable: a clone runs without being installed."""
    package = str(Path(__file__).parents[2])
    path = [package, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "TOKENIZERS_PARALLELISM": "false"}
