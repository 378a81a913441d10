"""Events are the same however the bytes are cut."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.domain.errors import PeerError
from swarm.peering.sse import SseParser

line = st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=("Cs",)), max_size=20)
end = st.sampled_from([b"\n", b"\r\n", b"\r"])


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[str]]:
    """Bytes, and the events in them."""
    sent, events = b"", []
    for lines in draw(st.lists(st.lists(line, min_size=1, max_size=3), max_size=6)):
        newline = draw(end)
        if draw(st.booleans()):
            sent += b": comment" + newline + newline
        sent += b"id: 7" + newline
        for text in lines:
            sent += draw(st.sampled_from([b"data: "])) + text.encode() + newline
        sent += newline
        events.append("\n".join(lines))
    return sent, events


def parse(pieces: list[bytes]) -> list[str]:
    parser = SseParser()
    return [event for piece in pieces for event in parser.feed(piece)]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    marks = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(marks)]


@given(streams(), st.lists(st.integers(0, 10_000), max_size=30))
def test_any_cut_gives_the_same_events(stream: tuple[bytes, list[str]], places: list[int]) -> None:
    sent, events = stream
    assert parse(cut(sent, places)) == events
    assert parse([bytes([byte]) for byte in sent]) == events


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_any_bytes_are_read_without_an_exception_and_alike(pieces: list[bytes]) -> None:
    assert parse(pieces) == parse([b"".join(pieces)])


@pytest.mark.parametrize(
    ("sent", "events"),
    [
        (b"data: a\n\n", ["a"]),
        (b"data:a\n\n", ["a"]),
        (b"data:  a\n\n", [" a"]),
        (b"data\n\n", [""]),
        (b": ping\n\n", []),
        (b"event: x\n\n", []),
        (b"data: a\r\rdata: b\r\r", ["a", "b"]),
        (b"data: a\n", []),
        (b"data: \xff\n\n", ["\ufffd"]),
    ],
)
def test_what_a_line_means(sent: bytes, events: list[str]) -> None:
    assert parse([sent]) == events


@pytest.mark.parametrize("piece", [b"x" * 100, b"data: 1234567\n"])
def test_endless_lines_and_events_are_given_up(piece: bytes) -> None:
    parser = SseParser(limit_bytes=1000)
    with pytest.raises(PeerError, match="too l"):
        deque(map(parser.feed, [piece] * 1000), maxlen=0)
