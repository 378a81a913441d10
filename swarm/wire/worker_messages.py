"""What the daemon and its worker process say to each other, over the worker's stdin and stdout.

A frame is a 4-byte big-endian length and a msgpack map `{"type": <class name>, …fields}`. Commands go down, events come
up. The worker says `Hardware` first, then `Loading…` and `Loaded`, which comes again whenever it serves other blocks;
every `Generate` is answered by `Generated` pieces and ends with a piece that has a finish reason, or with
`GenerationFailed`. `Cancel` is answered by `GenerationFailed` with kind `cancelled`, so that the daemon knows when what
the request held is free.
"""

from __future__ import annotations

import struct
from typing import Any

import msgpack

from swarm.wire.codec import MalformedMessage, from_plain, to_plain
from swarm.wire.worker_commands import Command
from swarm.wire.worker_events import Event

HEADER = struct.Struct(">I")
FOLDER_PREFIX = "swarm-"
"""Of the worker's own temporary folder, which the daemon makes and names to it as TMPDIR."""
FRAME_LIMIT = 64 * 2**20
"""Bytes; a longer frame is a bug or a torn stream."""
_BY_NAME: dict[str, type[Any]] = {kind.__name__: kind for kind in (*Command.__args__, *Event.__args__)}


class MessageTooLong(ValueError):
    """It would take more than `FRAME_LIMIT`."""


def to_frame(message: Command | Event) -> bytes:
    """Raises `MessageTooLong`."""
    body = bytes(msgpack.packb({"type": type(message).__name__, **to_plain(message)}))
    if len(body) > FRAME_LIMIT:
        raise MessageTooLong(f"It takes {len(body) >> 20} MiB, more than the {FRAME_LIMIT >> 20} that are sent at once")
    return HEADER.pack(len(body)) + body


def from_body(body: bytes) -> Command | Event:
    """A frame's body. Raises `MalformedMessage`."""
    try:
        plain = msgpack.unpackb(body, strict_map_key=True)
        kind = _BY_NAME[plain.pop("type")]
    except (ValueError, KeyError, TypeError, AttributeError, msgpack.UnpackException) as error:
        raise MalformedMessage(f"not a message: {type(error).__name__}") from None
    message: Command | Event = from_plain(kind, plain)
    return message
