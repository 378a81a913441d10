"""The frames of a session: hivemind reads what we write, we read what hivemind writes, and nothing is believed."""

import asyncio

import pytest
import torch
from hivemind.compression import deserialize_torch_tensor, serialize_torch_tensor
from hivemind.p2p import P2P
from hivemind.p2p.p2p_daemon_bindings.utils import P2PHandlerError
from hivemind.proto import runtime_pb2
from hivemind.utils.serializer import MSGPackSerializer

from swarm.worker.chain import messages

DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def reader_of(*frames: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(b"".join(frames))
    reader.feed_eof()
    return reader


def frame_of(message: bytes) -> bytes:
    return P2P.MESSAGE_MARKER + len(message).to_bytes(P2P.HEADER_LEN, P2P.BYTEORDER) + message


@pytest.mark.parametrize("dtype", DTYPES)
async def test_what_is_written_is_read_again_to_the_bit(dtype: torch.dtype) -> None:
    hidden = torch.randn(1, 3, 5).to(dtype)
    reader = reader_of(
        messages.first_request("a.0 a.1", 9, hidden), messages.request(hidden), messages.reply(hidden, 0.25)
    )
    first, next_one = await messages.read_request(reader), await messages.read_request(reader)
    assert (first.uid, MSGPackSerializer.loads(first.metadata)) == ("a.0 a.1", {"max_length": 9})
    assert (next_one.uid, next_one.metadata) == ("", b"")
    replied, compute_s = await messages.read_reply(reader)
    assert compute_s == 0.25
    for tensor in (*(messages.tensor_of(one.tensors[0]) for one in (first, next_one)), replied):
        assert tensor.dtype == dtype
        assert torch.equal(tensor, hidden)
    assert all(map(messages.is_empty, first.tensors[1:]))
    assert len(first.tensors) == 3  # with the prompts and the order of hypotheses that Petals expects


@pytest.mark.parametrize("dtype", DTYPES)
def test_hivemind_and_we_read_each_other_s_tensors(dtype: torch.dtype) -> None:
    hidden = torch.randn(2, 3, 5).to(dtype)
    assert torch.equal(messages.tensor_of(serialize_torch_tensor(hidden)), hidden)
    request = runtime_pb2.ExpertRequest.FromString(messages.request(hidden)[1 + P2P.HEADER_LEN :])
    assert torch.equal(deserialize_torch_tensor(request.tensors[0]), hidden)


@pytest.mark.parametrize(
    "sent",
    [
        runtime_pb2.Tensor(size=[1, 2**20, 2**20], dtype="float32", buffer=b"1234"),
        runtime_pb2.Tensor(size=[1], dtype="float32", buffer=b"12345678"),
        runtime_pb2.Tensor(size=[1], dtype="float64", buffer=b"12345678"),
        runtime_pb2.Tensor(size=[1], dtype="nonsense", buffer=b"1234"),
        runtime_pb2.Tensor(size=[1], dtype="float32", buffer=b"12", compression=runtime_pb2.CompressionType.FLOAT16),
    ],
)
def test_a_shape_that_is_not_that_of_the_bytes_is_refused(sent: runtime_pb2.Tensor) -> None:
    with pytest.raises((ValueError, RuntimeError)):
        messages.tensor_of(sent)


async def test_a_refusal_comes_with_its_reason() -> None:
    with pytest.raises(P2PHandlerError, match="no room"):
        await messages.read_reply(reader_of(messages.failure("no room")))


async def test_a_reply_without_a_tensor_or_of_noise_is_no_reply() -> None:
    for body in (b"", b"\xff" * 20):
        with pytest.raises(Exception):  # noqa: B017 — ValueError, or protobuf's own
            await messages.read_reply(reader_of(frame_of(body)))


async def test_more_than_is_taken_is_refused_before_it_is_read() -> None:
    announced = P2P.MESSAGE_MARKER + (messages.FRAME_LIMIT + 1).to_bytes(P2P.HEADER_LEN, P2P.BYTEORDER)
    with pytest.raises(ValueError, match="are taken"):
        await messages.read_request(reader_of(announced))


async def test_a_client_that_says_it_has_ended_asks_for_nothing_more() -> None:
    assert not (await messages.read_request(reader_of(messages.failure("left")))).tensors
