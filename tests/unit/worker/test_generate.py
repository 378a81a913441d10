"""The loop over an answer's tokens: what it asks of the model, and when it stops."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from swarm.domain.generation import Sampling
from swarm.wire.worker_commands import Generate
from swarm.wire.worker_events import Generated
from swarm.worker.decoder import generate as module
from swarm.worker.decoder.forms import Forms
from swarm.worker.failures import Cancelled

END = 0


class Bytes:
    """A tokenizer: one token a byte."""

    def encode(self, text: str, **_: Any) -> list[int]:
        return list(text.encode())

    def decode(self, ids: Sequence[int], **_: Any) -> str:
        return bytes(ids).decode(errors="replace")

    def convert_ids_to_tokens(self, token: int) -> str:
        return f"<0x{token:02X}>"


FORMS = Forms(Bytes(), {END}, 256)


class Script:
    """A stepper that says `text`, then ends."""

    route = "local"
    servers = ()

    def __init__(self, text: str, on_step: Callable[[], None] = lambda: None) -> None:
        self.next, self.on_step = iter([*text.encode(), END]), on_step
        self.stepped: list[int] = []
        self.closed = False

    def __enter__(self) -> "Script":
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def step(self, ids: Sequence[int]) -> torch.Tensor:
        self.on_step()
        self.stepped.append(len(ids))
        # A prompt in pieces: only the logits after its last token are looked at.
        token = next(self.next) if len(self.stepped) == 1 or len(ids) == 1 else self.token
        self.token = token
        return torch.nn.functional.one_hot(torch.tensor(token), 256).float()


def answer(script: Script, prompt: str, cancelled: threading.Event | None = None, **sampling: Any) -> list[Generated]:
    command = Generate("1", prompt, Sampling(**{"temperature": 0.0, **sampling}))
    event = cancelled or threading.Event()
    return list(module.generate(command, Bytes(), {END}, FORMS, 4096, lambda _: script, event))  # type: ignore[arg-type]


def test_the_last_piece_has_the_reason_and_the_counts() -> None:
    pieces = answer(Script("hello"), "prompt")
    assert "".join(piece.text for piece in pieces) == "hello"
    assert [piece.finish_reason for piece in pieces[:-1]] == [None] * 5
    last = pieces[-1]
    assert (last.finish_reason, last.prompt_tokens, last.completion_tokens) == ("stop", 6, 6)
    assert sum(piece.tokens for piece in pieces) == 6


def test_at_the_limit_no_step_is_computed_whose_token_nobody_wants() -> None:
    script = Script("hello")
    assert answer(script, "prompt", max_tokens=2)[-1].finish_reason == "length"
    assert script.stepped == [6, 1]


def test_a_long_prompt_is_read_in_pieces() -> None:
    script = Script("x")
    answer(script, "p" * (2 * module.PROMPT_PIECE_TOKENS + 5))
    assert script.stepped == [module.PROMPT_PIECE_TOKENS, module.PROMPT_PIECE_TOKENS, 5, 1]


def test_an_answer_that_is_cancelled_before_its_turn_computes_nothing() -> None:
    script, cancelled = Script("hello"), threading.Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        answer(script, "prompt", cancelled)
    assert script.stepped == []
    assert script.closed


def test_a_cancel_does_not_wait_for_the_rest_of_a_long_prompt() -> None:
    cancelled = threading.Event()
    script = Script("hello", cancelled.set)
    with pytest.raises(Cancelled):
        answer(script, "p" * (3 * module.PROMPT_PIECE_TOKENS), cancelled)
    assert script.stepped == [module.PROMPT_PIECE_TOKENS]


class Rehearsed:
    """A stepper that says `text` whatever it is fed, by the number of tokens."""

    route = "local"
    servers = ()

    def __init__(self, text: str, prompt_tokens: int) -> None:
        self.text, self.at = [*text.encode(), END], -prompt_tokens
        self.stepped = 0

    def __enter__(self) -> "Rehearsed":
        return self

    def __exit__(self, *_: object) -> None: ...

    def step(self, ids: Sequence[int]) -> torch.Tensor:
        self.at += len(ids)
        self.stepped += 1
        return torch.nn.functional.one_hot(torch.tensor(self.text[self.at]), 256).float()


@pytest.mark.parametrize("stop", [(), ("END", "x"), ("h\N{LATIN SMALL LETTER E WITH ACUTE}l", "lo!?")])
def test_an_answer_goes_on_exactly_behind_any_of_its_pieces(stop: tuple[str, ...]) -> None:
    text, prompt = "h\N{LATIN SMALL LETTER E WITH ACUTE}llo\N{GRINNING FACE} EN lo!.", "prompt"
    sampling = Sampling(temperature=0.0, stop=stop)

    def pieces(resume: tuple[int, ...]) -> list[Generated]:
        stepper = Rehearsed(text, len(prompt))
        command = Generate("1", prompt, sampling, resume)
        return list(module.generate(command, Bytes(), {END}, FORMS, 4096, lambda _: stepper, threading.Event()))  # type: ignore[arg-type]

    whole = pieces(())
    for count in range(len(whole)):
        sent = tuple(token for piece in whole[:count] for token in piece.token_ids)
        rest = pieces(sent)
        assert "".join(piece.text for piece in (*whole[:count], *rest)) == "".join(piece.text for piece in whole)
        assert sum(piece.tokens for piece in (*whole[:count], *rest)) == whole[-1].completion_tokens
        assert (rest[-1].completion_tokens, rest[-1].finish_reason) == (
            whole[-1].completion_tokens,
            whole[-1].finish_reason,
        )


def test_an_answer_of_which_only_the_end_was_lost_computes_nothing() -> None:
    stepper = Rehearsed("hello", 6)
    command = Generate("1", "prompt", Sampling(temperature=0.0, max_tokens=2), (104, 101))
    (last,) = module.generate(command, Bytes(), {END}, FORMS, 4096, lambda _: stepper, threading.Event())  # type: ignore[arg-type]
    assert (last.text, last.finish_reason, last.completion_tokens) == ("", "length", 2)
    assert not stepper.stepped
