"""Messages of Petals' `rpc_inference` as bytes on a libp2p stream: hivemind's frames around its protobufs.

Written and read here because both ends do it for each token: hivemind's own stream calls pass each message through a
task, a queue and three generators, and its tensors through a table of compressions. The bytes are the same, but that
bfloat16 travels as it is instead of as float32; hivemind reads both.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

import numpy as np
import torch
from hivemind.compression import deserialize_torch_tensor
from hivemind.p2p import P2P
from hivemind.p2p.p2p_daemon_bindings.utils import P2PHandlerError
from hivemind.proto import runtime_pb2
from hivemind.proto.p2pd_pb2 import RPCError
from hivemind.utils.serializer import MSGPackSerializer

FRAME_LIMIT = 64 * 2**20
"""Bytes; more is refused before it is read."""
COMPUTE_S = "compute_s"
"""In the metadata of a reply."""
_DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in (torch.float32, torch.float16, torch.bfloat16)}
_NUMPY = {torch.float32: np.float32, torch.float16: np.float16, torch.bfloat16: np.int16}
_NO_TENSOR = runtime_pb2.Tensor(size=[0], dtype="float32")
_NO_NUMBERS = runtime_pb2.Tensor(size=[0], dtype="int64")
_NOTHING_ELSE = runtime_pb2.ExpertRequest(tensors=[_NO_TENSOR, _NO_NUMBERS]).SerializeToString()
"""Prompts of deep tuning and the order of hypotheses, which Petals expects behind the hidden states of each step."""


def first_request(uids: str, max_tokens: int, hidden: torch.Tensor) -> bytes:
    """Opens a session and is its first step."""
    opening = runtime_pb2.ExpertRequest(uid=uids, metadata=MSGPackSerializer.dumps({"max_length": max_tokens}))
    return request(hidden, opening.SerializeToString())


def request(hidden: torch.Tensor, more: bytes = b"") -> bytes:
    """The frame of a step. Protobufs that are written one after the other are read as one."""
    step = runtime_pb2.ExpertRequest(tensors=[_to_proto(hidden)])
    return _frame(P2P.MESSAGE_MARKER, step.SerializeToString() + _NOTHING_ELSE + more)


def reply(hidden: torch.Tensor, compute_s: float | None) -> bytes:
    """What came of a step, and the seconds that its blocks took."""
    told = b"" if compute_s is None else MSGPackSerializer.dumps({COMPUTE_S: compute_s})
    step = runtime_pb2.ExpertResponse(tensors=[_to_proto(hidden)], metadata=told)
    return _frame(P2P.MESSAGE_MARKER, step.SerializeToString())


def failure(message: str) -> bytes:
    return _frame(P2P.ERROR_MARKER, RPCError(message=message).SerializeToString())


async def read_request(reader: asyncio.StreamReader) -> Any:
    """An `ExpertRequest`; one without tensors where the client says that it has ended."""
    marker, body = await _read(reader)
    return runtime_pb2.ExpertRequest.FromString(body if marker == P2P.MESSAGE_MARKER else b"")


async def read_reply(reader: asyncio.StreamReader) -> tuple[torch.Tensor, float | None]:
    """What came of a step, and the seconds that its blocks took, as the server claims; None where it says nothing.

    Raises `P2PHandlerError` with what the server says, `ValueError` and what msgpack raises where it is malformed."""
    marker, body = await _read(reader)
    if marker != P2P.MESSAGE_MARKER:
        raise P2PHandlerError(RPCError.FromString(body).message)
    read = runtime_pb2.ExpertResponse.FromString(body)
    if not read.tensors:
        raise ValueError("the reply has no tensor")
    told = MSGPackSerializer.loads(read.metadata) if read.metadata else None
    compute_s = told.get(COMPUTE_S) if isinstance(told, dict) else None
    return tensor_of(read.tensors[0]), compute_s if isinstance(compute_s, float) else None


def tensor_of(sent: Any) -> torch.Tensor:
    """Raises `ValueError` where the declared shape is not that of the bytes."""
    dtype = _DTYPES.get(sent.dtype)
    count, held = math.prod(sent.size), len(sent.buffer)
    if sent.compression != runtime_pb2.CompressionType.NONE or dtype is None:
        raise ValueError(f"tensors of {sent.dtype}, or compressed ones, are not taken")
    if dtype == torch.bfloat16 and held == 4 * count:
        made: torch.Tensor = deserialize_torch_tensor(sent)  # as hivemind sends it
        return made
    if held != count * dtype.itemsize:
        raise ValueError(f"a tensor of {count} numbers came with {held} bytes")
    if not held:
        return torch.empty(tuple(sent.size), dtype=dtype)
    # By numpy, which keeps the interpreter for such small work; what torch lets go of it comes back late under load.
    numbers = np.frombuffer(bytearray(sent.buffer), dtype=_NUMPY[dtype]).reshape(tuple(sent.size))
    made = torch.from_numpy(numbers)
    return made.view(dtype) if made.dtype != dtype else made


def is_empty(sent: Any) -> bool:
    return math.prod(sent.size) == 0


def _to_proto(tensor: torch.Tensor) -> Any:
    numbers = tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor
    return runtime_pb2.Tensor(
        buffer=numbers.numpy().tobytes(), size=tensor.shape, dtype=str(tensor.dtype).removeprefix("torch.")
    )


def _frame(marker: bytes, body: bytes) -> bytes:
    return marker + len(body).to_bytes(P2P.HEADER_LEN, P2P.BYTEORDER) + body


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(1 + P2P.HEADER_LEN)
    length = int.from_bytes(head[1:], P2P.BYTEORDER)
    if length > FRAME_LIMIT:
        raise ValueError(f"a message of {length} bytes is announced; {FRAME_LIMIT} are taken")
    return head[:1], await reader.readexactly(length)
