"""Dataclasses ⇄ plain values ⇄ msgpack or JSON bytes.

Encoding is `dataclasses.asdict`; decoding is validated by pydantic against the same dataclasses, so that what comes in
has the declared types or is refused. Unknown keys are ignored, so that a newer node may say more.
"""

from __future__ import annotations

import json
import math
from collections.abc import Hashable
from dataclasses import asdict, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, cast

import msgpack
from pydantic import TypeAdapter, ValidationError

from swarm.domain.errors import PeerError

PROTOCOL_VERSION = 1
"""Of what nodes say to each other; raised when an older node could not understand a newer one."""
MSGPACK_TYPE = "application/msgpack"
JSON_TYPE = "application/json"

SMALLEST_INTEGER, LARGEST_INTEGER = -(2**63), 2**64 - 1
"""What msgpack can carry: JSON could bring more, which would only fail where it is sent on."""

T = TypeVar("T")


class MalformedMessage(PeerError):
    """The bytes are not what the protocol says."""


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def to_plain(value: Any) -> Any:
    """A dataclass as dicts, lists and scalars."""
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def from_plain(kind: type[T], plain: Any) -> T:
    """Raises `MalformedMessage` where the value has not the shape of `kind`, or a number in it is not finite or beyond
    64 bits."""
    _refuse_strange_numbers(plain)
    try:
        checked: T = _adapter(cast(Hashable, kind)).validate_python(plain)
        return checked
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or kind.__name__
        raise MalformedMessage(f"{kind.__name__}: {where}: {first['msg']}") from None


def _refuse_strange_numbers(plain: Any) -> None:
    pending = [plain]
    while pending:
        item = pending.pop()
        if isinstance(item, float) and not math.isfinite(item):
            raise MalformedMessage("a number is not finite")
        if isinstance(item, int) and not SMALLEST_INTEGER <= item <= LARGEST_INTEGER:
            raise MalformedMessage("an integer has more than 64 bits")
        if isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, list | tuple):
            pending.extend(item)


def pack(value: Any) -> bytes:
    return bytes(msgpack.packb(to_plain(value)))


def unpack(kind: type[T], data: bytes) -> T:
    """Raises `MalformedMessage`; never anything else, whatever the bytes."""
    try:
        plain = msgpack.unpackb(data, strict_map_key=True)
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise MalformedMessage(f"not msgpack: {type(error).__name__}") from None
    return from_plain(kind, plain)


def from_json(kind: type[T], data: bytes) -> T:
    """Raises `MalformedMessage`; never anything else, whatever the bytes."""
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError):
        raise MalformedMessage("not JSON") from None
    return from_plain(kind, plain)


def encode(value: Any, content_type: Literal["application/msgpack", "application/json"]) -> bytes:
    """msgpack between nodes, JSON for people."""
    return pack(value) if content_type == MSGPACK_TYPE else json.dumps(to_plain(value)).encode()


def decode(kind: type[T], data: bytes, content_type: str) -> T:
    """By what the sender says it is; anything but msgpack is read as JSON."""
    return unpack(kind, data) if content_type == MSGPACK_TYPE else from_json(kind, data)
