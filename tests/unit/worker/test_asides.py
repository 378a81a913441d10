"""What is asked of the model besides answers gets one reply, whatever comes of it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import torch

from swarm.wire.worker_commands import Aside, Detokenize, Tokenize
from swarm.wire.worker_events import Detokenized, Event, GenerationFailed, Tokenized
from swarm.wire.worker_messages import MessageTooLong
from swarm.worker import asides
from swarm.worker.asides import Asides
from swarm.worker.decoder.steppers import Stepper
from swarm.worker.families.checkpoint import open_checkpoint
from swarm.worker.families.model import LoadedModel, load_model

DEMO = Path(__file__).parents[3] / "swarm/demo_model"


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return load_model(open_checkpoint(str(DEMO), "demo"), None, "cpu", torch.float32)


@pytest.fixture
def sent() -> queue.Queue[Event]:
    return queue.Queue()


@pytest.fixture
def ask(model: LoadedModel, sent: queue.Queue[Event]) -> Iterator[Callable[[Aside], Event]]:
    def send(event: Event) -> None:
        if isinstance(event, Detokenized) and len(event.text) > 100:
            raise MessageTooLong("It takes more")
        sent.put(event)

    def open_stepper(model: LoadedModel, cancelled: threading.Event, tokens: int) -> Stepper:
        raise AssertionError("nothing is run")

    def ask(command: Aside) -> Event:
        helper.begin(model, command)
        return sent.get(timeout=20)

    with closing(Asides(send, open_stepper, {})) as helper:
        yield ask


def test_a_text_of_more_tokens_than_are_told_is_refused(
    ask: Callable[[Aside], Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asides, "MOST_TOKENS", 5)
    assert isinstance(ask(Tokenize("1", "zzzzz")), Tokenized)
    refused = ask(Tokenize("2", "zzzzzz"))
    assert isinstance(refused, GenerationFailed)
    assert (refused.id, refused.kind, refused.param) == ("2", "request", "prompt")


def test_a_reply_that_cannot_be_sent_is_refused(ask: Callable[[Aside], Event]) -> None:
    assert isinstance(ask(Detokenize("1", (70,) * 9)), Detokenized)
    refused = ask(Detokenize("2", (70,) * 900))
    assert isinstance(refused, GenerationFailed)
    assert (refused.id, refused.kind) == ("2", "request")
    assert "ask for less" in refused.message
