"""What of an answer is shown, token by token: text, bytes and log-probabilities join to the same."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from swarm.domain.generation import Sampling
from swarm.domain.tokens import TokenPrompt
from swarm.wire.worker_commands import Generate
from swarm.wire.worker_events import Generated
from swarm.worker.decoder.detokenizer import MOST_HELD, Detokenizer
from swarm.worker.decoder.forms import Forms
from swarm.worker.decoder.generate import generate
from swarm.worker.decoder.token_texts import TokenTexts

END = 0
WORDS = ["\u2581a", "b", "\u2581\N{GRINNING FACE}", "EN", "D", "\u2581", "c."]


def byte_fallback() -> PreTrainedTokenizerFast:
    """As SentencePiece models have it: words with a mark for the space, and a token for each byte."""
    vocabulary = {"</s>": END, **{f"<0x{byte:02X}>": 1 + byte for byte in range(256)}}
    vocabulary |= {word: 257 + at for at, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True))
    tokenizer.add_special_tokens([AddedToken("</s>", special=True)])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>")


TOKENIZER = byte_fallback()
SIZE = len(TOKENIZER)
FORMS = Forms(TOKENIZER, {END}, SIZE)
PROMPT = (257, 258)


class Rehearsed:
    """A stepper that says these tokens, whatever it is fed."""

    route = "local"
    servers = ()

    def __init__(self, said: Sequence[int], before: int) -> None:
        self.said, self.at = [*said, END], -before

    def __enter__(self) -> Rehearsed:
        return self

    def __exit__(self, *_: object) -> None: ...

    def step(self, ids: Sequence[int]) -> torch.Tensor:
        return self.step_all(ids)[-1]

    def step_all(self, ids: Sequence[int]) -> torch.Tensor:
        first, self.at = self.at, self.at + len(ids)
        places = [self.said[max(0, place + 1)] for place in range(first, self.at)]
        return 4 * torch.nn.functional.one_hot(torch.tensor(places), SIZE).float()


def answer(said: Sequence[int], resume: Sequence[int] = (), echo: bool = False, **sampling: Any) -> list[Generated]:
    asked = Sampling(**{"temperature": 0.0, "logprobs": 2, **sampling})
    command = Generate("1", TokenPrompt(PROMPT), asked, tuple(resume), echo=echo)
    stepper = Rehearsed(said, len(PROMPT))
    return list(generate(command, TOKENIZER, {END}, FORMS, 4096, lambda _: stepper, threading.Event()))  # type: ignore[arg-type,return-value]


def spoken(pieces: Sequence[Generated]) -> str:
    return "".join(piece.text for piece in pieces)


IDS = st.lists(st.one_of(st.integers(257, SIZE - 1), st.integers(1, 256), st.just(1 + 0x41)), max_size=14)
SPLIT = st.text("a\N{GRINNING FACE}\N{LATIN SMALL LETTER E WITH ACUTE}", max_size=4).map(
    lambda text: [1 + byte for byte in text.encode()]
)
SAID = st.lists(st.one_of(IDS, SPLIT), max_size=4).map(lambda parts: [token for part in parts for token in part])
STOPS = st.lists(st.sampled_from(["END", "b ", "c", "\N{GRINNING FACE}E"]), max_size=2).map(tuple)


@settings(deadline=None)
@given(SAID, STOPS)
@example([*(1 + byte for byte in b"\xf0\x9f\x98\x80"), 263], ("c",))
def test_the_tokens_that_are_told_join_to_the_text_in_every_piece(said: list[int], stop: tuple[str, ...]) -> None:
    for piece in answer(said, stop=stop):
        assert "".join(told.token for told in piece.token_logprobs) == piece.text
        assert bytes(byte for told in piece.token_logprobs for byte in told.raw) == piece.text.encode()
        assert len(piece.token_ids) == piece.tokens


@settings(deadline=None)
@given(SAID, STOPS)
def test_an_answer_goes_on_behind_any_piece_with_the_same_text_and_tokens(
    said: list[int], stop: tuple[str, ...]
) -> None:
    whole = answer(said, stop=stop)
    for count in range(1, len(whole)):
        sent = [token for piece in whole[:count] for token in piece.token_ids]
        rest = answer(said, sent, stop=stop)
        assert spoken(rest) == spoken(whole[count:])
        assert [told for piece in rest for told in piece.token_logprobs] == [
            told for piece in whole[count:] for told in piece.token_logprobs
        ]
        assert (rest[-1].finish_reason, rest[-1].completion_tokens) == (
            whole[-1].finish_reason,
            whole[-1].completion_tokens,
        )


def test_a_chosen_token_is_found_among_the_most_likely_ones() -> None:
    *pieces, _ = answer([257, 258, 1 + 0xF0, 1 + 0x9F, 1 + 0x98, 1 + 0x80])
    for told in (told for piece in pieces for told in piece.token_logprobs):
        best = told.top[0]
        assert (best.token, best.raw, best.logprob) == (told.token, told.raw, told.logprob)
    last = pieces[-1].token_logprobs
    assert [told.token for told in last] == ["", "", "", "\N{GRINNING FACE}"]
    assert [told.raw for told in last] == [(0xF0,), (0x9F,), (0x98,), (0x80,)]


def test_the_end_token_is_counted_and_not_told() -> None:
    pieces = answer([257])
    assert sum(piece.tokens for piece in pieces) == pieces[-1].completion_tokens == 2
    assert [told.token for piece in pieces for told in piece.token_logprobs] == [" a"]


def test_without_being_asked_nothing_is_told_of_tokens() -> None:
    assert all(piece.token_logprobs == () for piece in answer([257, 258], logprobs=None))


def test_a_stop_string_cuts_the_token_in_which_it_begins() -> None:
    pieces = answer([257, 258, 260, 261, 257], stop=("bEN",))
    assert spoken(pieces) == " a"
    assert [told.token for piece in pieces for told in piece.token_logprobs] == [" a"]
    pieces = answer([263], stop=(".",))
    assert [told.token for piece in pieces for told in piece.token_logprobs] == ["c"]


def test_stop_token_ids_end_an_answer_and_end_tokens_can_be_ignored() -> None:
    stopped = answer([257, 258, 257], stop_token_ids=(258,))
    assert (spoken(stopped), stopped[-1].finish_reason, stopped[-1].completion_tokens) == (" a", "stop", 2)
    ignored = answer([257, END, 258, 257], ignore_eos=True, max_tokens=4)
    assert (spoken(ignored), ignored[-1].finish_reason) == (" ab a", "length")


def test_an_echo_is_the_prompt_with_what_the_model_thought_of_it() -> None:
    echo, *pieces = answer([257], echo=True)
    assert (echo.text, echo.tokens, echo.token_ids) == ("ab", 0, ())
    first, second = echo.token_logprobs
    assert (first.token, first.logprob, first.top) == ("a", None, ())
    assert (second.token, len(second.top)) == ("b", 2)
    assert second.logprob is not None
    assert second.logprob < 0
    assert spoken(pieces) == " a"


def test_a_prompt_can_be_read_without_an_answer() -> None:
    echo, last = answer([257], echo=True, max_tokens=0)
    assert echo.text == "ab"
    assert (last.text, last.finish_reason, last.prompt_tokens, last.completion_tokens) == ("", "length", 2, 0)


def test_an_echo_of_text_is_that_text() -> None:
    command = Generate("1", TokenPrompt(PROMPT), Sampling(max_tokens=0), echo=True)
    stepper = Rehearsed([], 2)
    pieces = list(generate(command, TOKENIZER, {END}, FORMS, 99, lambda _: stepper, threading.Event()))  # type: ignore[arg-type,return-value]
    assert (spoken(pieces), pieces[0].token_logprobs, stepper.at) == ("ab", (), -2)
    assert replace(pieces[0], id="2").id == "2"


def detokenized(said: Sequence[int]) -> str:
    detokenizer = Detokenizer(lambda ids: str(TOKENIZER.decode(ids)), PROMPT)
    return "".join(detokenizer.add(token) for token in said) + detokenizer.finish()


@settings(deadline=None)
@given(SAID)
def test_whole_characters_are_shown_as_they_are(said: list[int]) -> None:
    expected = b"".join(TokenTexts(TOKENIZER).raw(token) for token in said).decode(errors="replace")
    if "\ufffd" not in expected:
        assert detokenized(said) == expected


def test_text_that_was_sent_is_not_changed_by_a_byte_that_cannot_follow() -> None:
    smile = [1 + byte for byte in "\N{GRINNING FACE}".encode()]
    assert detokenized([*smile, 1 + 0xFF, 257, 258]) == "\N{GRINNING FACE}\ufffd ab"


def test_bytes_that_never_make_a_character_are_shown_after_a_few() -> None:
    detokenizer = Detokenizer(lambda ids: str(TOKENIZER.decode(ids)))
    pieces = [detokenizer.add(1 + 0xFF) for _ in range(4 * MOST_HELD)]
    assert sum(map(bool, pieces)) >= 3


@pytest.mark.parametrize(
    ("token", "raw"), [(257, b" a"), (259, b" \xf0\x9f\x98\x80"), (1 + 0x9F, b"\x9f"), (END, b"</s>"), (SIZE + 5, b"")]
)
def test_tokens_have_bytes_of_their_own(token: int, raw: bytes) -> None:
    assert TokenTexts(TOKENIZER).raw(token) == raw
