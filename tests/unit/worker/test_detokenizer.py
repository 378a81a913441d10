"""Text comes out whole: joined pieces equal the decoding of all tokens at once."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from swarm.worker.decoder.detokenizer import Detokenizer


def bytes_to_text(ids: Sequence[int]) -> str:
    """A byte tokenizer: the worst case, in which every character beyond ASCII is split."""
    return bytes(ids).decode(errors="replace")


@given(st.text())
def test_joined_pieces_equal_the_whole_text(text: str) -> None:
    detokenizer = Detokenizer(bytes_to_text)
    pieces = [detokenizer.add(byte) for byte in text.encode()]
    assert "".join(pieces) + detokenizer.finish() == text


@given(st.binary(max_size=60))
def test_broken_bytes_are_shown_at_the_end_and_never_raise(data: bytes) -> None:
    detokenizer = Detokenizer(bytes_to_text)
    shown = "".join(detokenizer.add(byte) for byte in data) + detokenizer.finish()
    assert shown.rstrip("\ufffd") == data.decode(errors="replace").rstrip("\ufffd") or "\ufffd" in shown


def test_a_split_character_is_held_back_until_it_is_whole() -> None:
    detokenizer = Detokenizer(bytes_to_text)
    assert [detokenizer.add(byte) for byte in "😀".encode()] == ["", "", "", "😀"]


def test_a_leading_space_that_only_later_tokens_have_is_kept() -> None:
    words = {1: "Hello", 2: "world"}
    detokenizer = Detokenizer(lambda ids: " ".join(words[token] for token in ids))
    assert detokenizer.add(1) + detokenizer.add(2) + detokenizer.finish() == "Hello world"
