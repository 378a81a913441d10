"""What goes over the wire comes back the same, and nothing that comes in can do more than be refused."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.domain.federation import PeerVote
from swarm.domain.generation import ChatMessage, Sampling
from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import BlockSpan, Load, ModelInfo, NodeStatus, Progress
from swarm.domain.tokens import TokenLogprob, TokenPrompt, TopLogprob
from swarm.domain.tools import MadeToolCall, ToolChoice, ToolSpec
from swarm.wire import worker_messages
from swarm.wire.codec import JSON_TYPE, MSGPACK_TYPE, MalformedMessage, decode, encode, from_json, unpack
from swarm.wire.federation_messages import VoteReply, VoteRequest
from swarm.wire.worker_commands import Generate, LoadModel
from swarm.wire.worker_events import Detokenized, Generated
from swarm.wire.worker_messages import HEADER, MessageTooLong, from_body, to_frame

STATUS = NodeStatus(
    NodeId("n1"),
    BootId("b1"),
    "laptop",
    "0.1.0",
    1,
    "waiting",
    "Linux",
    1,
    Load(1, 2, 3, 4),
    model=ModelInfo("demo", "d1", 6, 1024),
    blocks=BlockSpan(0, 3),
    missing=(BlockSpan(3, 6),),
    progress=Progress("loading", 0.5),
)


TOP = TopLogprob("a", (97,), -0.5)
CALLED = (
    ChatMessage("user", "What time is it?"),
    ChatMessage("assistant", "", (MadeToolCall("c1", "now", "{}"),)),
    ChatMessage("tool", "12:00", tool_call_id="c1"),
)
SHAPELESS = (
    *(b"", b"{", b"[]", b'{"start": "x", "end": 1}', b'{"start": 0}', b"[" * 100_000),
    *(b'{"start": 5, "end": 3}', b'{"start": -1, "end": 3}', b'{"start": 0, "end": 9999999999999999999}'),
)


@pytest.mark.parametrize("content_type", [MSGPACK_TYPE, JSON_TYPE])
def test_a_status_survives_the_wire(content_type: str) -> None:
    assert decode(NodeStatus, encode(STATUS, content_type), content_type) == STATUS  # type: ignore[arg-type]


def test_a_vote_survives_the_wire_with_a_conversation_and_with_text() -> None:
    for prompt in ((ChatMessage("user", "2 + 2?"),), "2 + 2 =", TokenPrompt((1, 2)), CALLED):
        asked = VoteRequest("r1", prompt, Sampling(seed=3, stop=("a", "b")))
        assert decode(VoteRequest, encode(asked, MSGPACK_TYPE), MSGPACK_TYPE) == asked
    vote = PeerVote(NodeId("n"), "4", "stop", 1, -0.5, "demo", "d1", 0.1)
    assert decode(VoteReply, encode(VoteReply((vote,)), MSGPACK_TYPE), MSGPACK_TYPE) == VoteReply((vote,))


def test_a_key_of_a_newer_node_is_ignored() -> None:
    assert from_json(BlockSpan, b'{"start": 0, "end": 3, "colour": "red"}') == BlockSpan(0, 3)


@pytest.mark.parametrize("text", SHAPELESS)
def test_what_has_another_shape_is_refused(text: bytes) -> None:
    with pytest.raises(MalformedMessage):
        from_json(BlockSpan, text)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_not_finite_is_refused(number: str) -> None:
    with pytest.raises(MalformedMessage, match="not finite"):
        from_json(Progress, b'{"what": "x", "fraction": %s}' % number.encode())


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**30])
def test_an_integer_that_no_message_to_others_could_carry_is_refused(number: int) -> None:
    with pytest.raises(MalformedMessage, match="64 bits"):
        from_json(VoteRequest, b'{"sampling": {"stop_token_ids": [%d]}}' % number)


@given(st.binary(max_size=200))
def test_strangers_bytes_are_read_or_refused_and_never_raise_anything_else(data: bytes) -> None:
    for kind in (NodeStatus, VoteRequest, VoteReply):
        with contextlib.suppress(MalformedMessage):
            unpack(kind, data)


def test_a_command_to_the_worker_survives_its_frame() -> None:
    for command in (
        LoadModel("/m", "m", "auto", "auto", 1, 0, None, 0, "id", "n1"),
        Generate("1", (ChatMessage("user", "hi"),), Sampling(temperature=0)),
        Generate("1", "once", Sampling(logprobs=3, logit_bias=((5, -100.0),), stop_token_ids=(2,)), (1, 2), echo=True),
        Generate("1", TokenPrompt((1, 2)), Sampling()),
        Generate("1", CALLED, Sampling(), tools=(ToolSpec("now"),), tool_choice=ToolChoice("named", "now")),
        Generated("1", "a", 1, -0.5, (7,), token_logprobs=(TokenLogprob("a", (97,), -0.5, (TOP,)),)),
    ):
        frame = to_frame(command)
        assert HEADER.unpack(frame[: HEADER.size])[0] == len(frame) - HEADER.size
        assert from_body(frame[HEADER.size :]) == command


def test_a_message_that_the_other_side_would_take_for_a_torn_stream_is_not_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_messages, "FRAME_LIMIT", 100)
    assert to_frame(Detokenized("1", "x" * 10))
    with pytest.raises(MessageTooLong):
        to_frame(Detokenized("1", "x" * 100))


@given(st.binary(max_size=100))
def test_a_torn_frame_is_refused(body: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        from_body(body)
