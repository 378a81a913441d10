"""The message loop: commands on stdin, events on stdout; what libraries print, and a last word, on stderr."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
from typing import BinaryIO

from swarm.wire.worker_commands import (
    Avoid,
    Cancel,
    CheckPeer,
    Command,
    Detokenize,
    Embed,
    Forget,
    Generate,
    Introduce,
    LoadModel,
    MoveChain,
    Ping,
    Probe,
    Score,
    Stop,
    Suspect,
    Tokenize,
    WeightsReady,
)
from swarm.wire.worker_events import Event, Pong
from swarm.wire.worker_messages import FOLDER_PREFIX, HEADER, from_body, to_frame
from swarm.worker.log_channel import set_up_logging

SWITCH_S = 0.0003
"""After which a thread of Python gives way to others. The interpreter's 5 ms are longer than a step of a small model,
whose thread would wait so long for one that makes text of another answer's tokens."""


class Channel:
    """Frames in and out. Writing is safe from every thread; a closed daemon ends the process."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source, self._sink = source, sink
        self._lock = threading.Lock()

    def read(self) -> Command | None:
        """The next command; None when the daemon closed the pipe."""
        header = self._source.read(HEADER.size)
        if len(header) < HEADER.size:
            return None
        return from_body(self._source.read(HEADER.unpack(header)[0]))  # type: ignore[return-value]

    def send(self, event: Event) -> None:
        """Raises `MessageTooLong`."""
        frame = to_frame(event)
        with self._lock:
            try:
                self._sink.write(frame)
                self._sink.flush()
            except (BrokenPipeError, ValueError):
                _remove_own_folder()
                os._exit(1)


def main() -> int:
    """Runs until `Stop` or until the daemon is gone."""
    channel = _private_stdio()
    sys.setswitchinterval(SWITCH_S)
    # The daemon decides when the worker ends: a Ctrl-C in the terminal reaches both, and the daemon drains first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    set_up_logging(channel.send)
    from swarm.worker.service import Service  # torch: two seconds that the first line of main must not wait for

    with Service(channel.send) as service:
        while (command := channel.read()) is not None:
            match command:
                case LoadModel():
                    service.load(command)
                case MoveChain(host):
                    service.move_chain(host)
                case Introduce(addresses):
                    service.introduce(addresses)
                case Forget(addresses):
                    service.forget(addresses)
                case Suspect(addresses):
                    service.suspect(addresses)
                case Avoid(servers):
                    service.avoid(servers)
                case CheckPeer():
                    service.check_peer(command)
                case Generate():
                    service.generate(command)
                case Score() | Tokenize() | Detokenize() | Embed() | Probe():
                    service.aside(command)
                case Cancel(request):
                    service.cancel(request)
                case WeightsReady():
                    service.weights_ready(command)
                case Ping():
                    channel.send(Pong())
                case Stop():
                    break
    _remove_own_folder()
    return 0


def _remove_own_folder() -> None:
    """A daemon that was killed cannot do it."""
    folder = tempfile.gettempdir()
    if os.path.basename(folder).startswith(FOLDER_PREFIX):
        shutil.rmtree(folder, ignore_errors=True)


def _private_stdio() -> Channel:
    """Keeps the pipes for frames: whatever a library prints goes to stderr instead, and reads find nothing."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    return Channel(source, sink)
