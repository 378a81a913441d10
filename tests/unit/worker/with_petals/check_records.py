"""What nodes announce: understood by Petals, and believed no further than it can be true."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
from petals.data_structures import ServerInfo, ServerState

from swarm.domain.nodes import BlockSpan
from swarm.worker.chain.records import FASTEST_BLOCK_S, SLOWEST_BLOCK_S, Announcement, newest_announcements
from swarm.worker.placement import DEFAULT_BLOCK_S

A, B = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt"
LAYERS, NOW = 6, 1000.0
SAID = Announcement(ServerState.ONLINE, 7.0, start_block=1, end_block=4, inference_rps=50.0, capacity=3, movable=True)


def found(*records: tuple[str, Any, float]) -> Any:
    """What the DHT holds under one block."""
    return SimpleNamespace(
        value={
            server: SimpleNamespace(value=value, expiration_time=expiration) for server, value, expiration in records
        }
    )


def read(*held: Any) -> Any:
    return newest_announcements(held, LAYERS, NOW + 60)


def test_petals_reads_ours_and_we_read_petals() -> None:
    theirs = ServerInfo.from_tuple(SAID.to_tuple())
    assert (theirs.state, theirs.start_block, theirs.end_block, theirs.inference_rps) == (
        ServerState.ONLINE,
        1,
        4,
        50.0,
    )
    ours = Announcement.from_tuple(theirs.to_tuple())
    assert (ours.span, ours.block_s, ours.capacity, ours.movable) == (BlockSpan(1, 4), 0.02, 0, False)
    assert Announcement.from_tuple(SAID.to_tuple()) == SAID


def test_the_last_word_of_a_server_counts_under_whatever_block_it_lies() -> None:
    moved = Announcement(ServerState.ONLINE, 7.0, start_block=3, end_block=6)
    heard = read(
        found((A, SAID.to_tuple(), NOW + 10), (B, SAID.to_tuple(), NOW + 10)), found((A, moved.to_tuple(), NOW + 15))
    )
    assert {server: said.span for server, said in heard.items()} == {A: BlockSpan(3, 6), B: BlockSpan(1, 4)}


def test_a_record_that_outlives_what_anybody_may_ask_for_is_not_believed() -> None:
    assert read(found((A, SAID.to_tuple(), NOW + 61))) == {}


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        b"\x00",
        "online",
        (),
        (99, 1.0, {}),
        (2, -1.0, {}),
        (2, 1.0, {"start_block": -1, "end_block": 3}),
        (2, 1.0, {"start_block": "0", "end_block": 3}),
        (2, 1.0, {"start_block": 0, "end_block": LAYERS + 1}),
        (2, 1.0, {"state": 1}),
        (2, 1.0, ["capacity"]),
        (2, 1.0, {"capacity": "many"}),
        (2, 1.0, {"inference_rps": math.inf}),
        (2, math.nan, {}),
        (2, 1.0, {"next_pings": {"a": -1.0}}),
    ],
)
def test_nonsense_of_one_hides_nobody_else(value: Any) -> None:
    assert set(read(found((A, value, NOW + 10), (B, SAID.to_tuple(), NOW + 10)))) == {B}


@pytest.mark.parametrize("held", [None, SimpleNamespace(value=b"no dictionary", expiration_time=NOW)])
def test_what_is_no_set_of_records_tells_nothing(held: Any) -> None:
    assert read(held) == {}


def test_a_name_that_is_no_libp2p_id_is_nobody() -> None:
    assert read(found(("0OIl, no base58", SAID.to_tuple(), NOW + 10))) == {}


def test_a_span_that_is_none_is_a_server_without_blocks() -> None:
    for start, end in ((3, 3), (4, 1), (None, 2)):
        assert Announcement(ServerState.ONLINE, 1.0, start_block=start, end_block=end).span is None


@pytest.mark.parametrize(
    ("claimed", "believed"),
    [(None, None), (0.0, None), (1e300, FASTEST_BLOCK_S), (1e-300, SLOWEST_BLOCK_S)],
)
def test_a_speed_is_believed_within_what_can_be(claimed: float | None, believed: float | None) -> None:
    assert Announcement(ServerState.ONLINE, 1.0, inference_rps=claimed).block_s == believed


def test_a_place_is_what_the_planner_may_rely_on() -> None:
    place = SAID.place(A, LAYERS, 0.01)
    assert (place.span, place.capacity, place.block_s, place.movable) == (BlockSpan(1, 4), 3, 0.02, True)
    greedy = Announcement(ServerState.ONLINE, 1.0, start_block=0, end_block=2, capacity=10**9).place(A, LAYERS, 0.0)
    assert (greedy.capacity, greedy.block_s) == (LAYERS, DEFAULT_BLOCK_S)
    modest = Announcement(ServerState.ONLINE, 1.0, start_block=0, end_block=2, capacity=-5).place(A, LAYERS, 0.0)
    assert modest.capacity == 2


def test_who_loads_other_blocks_is_seen_there_and_not_moved_again() -> None:
    going = Announcement(
        ServerState.ONLINE, 1.0, start_block=0, end_block=3, capacity=3, movable=True, next_start=3, next_end=6
    )
    assert (going.place(A, LAYERS, 0.0).span, going.place(A, LAYERS, 0.0).movable) == (BlockSpan(3, 6), False)
    joining = Announcement(ServerState.JOINING, 1.0, start_block=0, end_block=3, capacity=3, movable=True)
    assert not joining.place(A, LAYERS, 0.0).movable
