"""Files as pieces: which bytes are where, and what proves them."""

import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.domain.errors import PeerError
from swarm.domain.weights import PIECE_BYTES, FilePieces
from swarm.weights.pieces import Bitmap, check_pieces, digest_of, hash_of, piece_bounds, piece_count, pieces_within

SIZES = st.integers(1, 20 * PIECE_BYTES)


@given(SIZES)
def test_pieces_cover_a_file_without_gap_or_overlap(size: int) -> None:
    bounds = [piece_bounds(index, size) for index in range(piece_count(size))]
    assert bounds[0][0] == 0
    assert bounds[-1][1] == size
    assert all(before[1] == after[0] for before, after in itertools.pairwise(bounds))
    assert all(0 < end - start <= PIECE_BYTES for start, end in bounds)


@given(SIZES, st.data())
def test_the_pieces_of_a_range_are_exactly_those_that_touch_it(size: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(start, size))
    touched = [
        index
        for index in range(piece_count(size))
        if piece_bounds(index, size)[0] < end and start < piece_bounds(index, size)[1]
    ]
    assert list(pieces_within(start, end)) == (touched if end > start else [])


@given(st.integers(0, 100), st.data())
def test_a_bitmap_survives_its_text(count: int, data: st.DataObject) -> None:
    held = data.draw(st.sets(st.integers(0, count - 1))) if count else set()
    bitmap = Bitmap.from_hex(count, Bitmap(count, held).to_hex())
    assert {index for index in range(count) if index in bitmap} == held
    assert len(bitmap) == len(held)
    assert bitmap.is_full == (len(held) == count)


@pytest.mark.parametrize(("count", "text"), [(9, "ff"), (4, "ff"), (8, "zz"), (0, "00"), (8, "ffff")])
def test_what_is_no_bitmap_of_that_many_pieces_is_refused(count: int, text: str) -> None:
    with pytest.raises(ValueError):
        Bitmap.from_hex(count, text)


def test_a_bitmap_knows_no_pieces_beyond_its_file() -> None:
    assert 8 not in Bitmap.full(8)
    with pytest.raises(IndexError):
        Bitmap(8).add(8)


def test_only_the_hashes_that_made_a_digest_are_taken_for_it() -> None:
    hashes = "".join(hashlib.sha256(bytes([number])).hexdigest() for number in range(3))
    pieces = FilePieces(2 * PIECE_BYTES + 1, hashes)
    check_pieces(pieces, digest_of(pieces))
    assert hash_of(pieces, 1) == hashlib.sha256(b"\x01").hexdigest()
    for wrong in (
        FilePieces(pieces.size + 1, hashes),
        FilePieces(pieces.size, hashes[:-64]),
        FilePieces(pieces.size, hashes[64:] + hashes[:64]),
        FilePieces(-1, ""),
    ):
        with pytest.raises(PeerError):
            check_pieces(wrong, digest_of(pieces))
