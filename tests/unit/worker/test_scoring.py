"""How likely a text is: the same as reading it token by token, and bounded in what it costs."""

import contextlib
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from swarm.domain.nodes import BlockSpan
from swarm.wire.worker_commands import Score
from swarm.worker.compute.thread import Compute
from swarm.worker.decoder import scoring
from swarm.worker.decoder.prompts import token_ids
from swarm.worker.decoder.steppers import Steppers
from swarm.worker.failures import Cancelled, PromptFailure
from swarm.worker.families.checkpoint import open_checkpoint
from swarm.worker.families.model import LoadedModel, load_model

DEMO = Path(__file__).parents[3] / "swarm/demo_model"
PROMPT = "What is 12 + 30?"


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    checkpoint = open_checkpoint(str(DEMO), "demo")
    return load_model(checkpoint, BlockSpan(0, checkpoint.info.layers), "cpu", torch.float32)


def scored(model: LoadedModel, text: str, cancelled: threading.Event | None = None):
    context = model.checkpoint.info.context_tokens
    event = cancelled or threading.Event()
    with contextlib.closing(Compute()) as compute:
        return scoring.score(Score("1", PROMPT, text), model.tokenizer, context, Steppers(compute, model).local, event)


def one_by_one(model: LoadedModel, text: str) -> float:
    ids: Sequence[int] = token_ids(model.tokenizer, PROMPT, 512)
    total, words = 0.0, model.tokenizer.encode(text, add_special_tokens=False)
    with contextlib.closing(Compute()) as compute, Steppers(compute, model).local(1024) as stepper:
        logits = stepper.step(ids)
        for token in words:
            total += float(torch.log_softmax(logits.float(), -1)[token])
            logits = stepper.step([token])
    return total / len(words)


@pytest.mark.parametrize("text", ["4", " The answer is 42.", "12 + 30 = 42. " * 15])
def test_it_is_the_mean_over_the_tokens_each_after_those_before(model: LoadedModel, text: str) -> None:
    assert scored(model, text).mean_logprob == pytest.approx(one_by_one(model, text), abs=1e-4)


def test_what_the_model_would_say_is_likelier_than_nonsense(model: LoadedModel) -> None:
    assert scored(model, " The answer is 42.").mean_logprob > scored(model, "zq zq zq zq zq").mean_logprob


def test_a_long_text_is_read_up_to_the_end_of_the_context_only(model: LoadedModel) -> None:
    context = model.checkpoint.info.context_tokens
    assert scored(model, "12 " * 5000).tokens == context - len(token_ids(model.tokenizer, PROMPT, context))


def test_no_text_is_refused_and_a_cancel_ends_it(model: LoadedModel) -> None:
    with pytest.raises(PromptFailure, match="no text"):
        scored(model, "")
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        scored(model, "42", cancelled)
