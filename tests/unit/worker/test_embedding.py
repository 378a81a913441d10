"""A text's vector is the mean of the model's own last hidden states, however it is read."""

from __future__ import annotations

import contextlib
import struct
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from swarm.domain.nodes import BlockSpan
from swarm.domain.tokens import TokenPrompt
from swarm.wire.worker_commands import Embed
from swarm.worker.chain.measures import Measures
from swarm.worker.chain.routing import Hop, Offer
from swarm.worker.chain.session import ChainSession
from swarm.worker.compute.parts import SpanPart
from swarm.worker.compute.step import Step
from swarm.worker.compute.thread import Compute
from swarm.worker.decoder import embedding
from swarm.worker.decoder.probing import probe
from swarm.worker.decoder.steppers import Stepper, Steppers
from swarm.worker.failures import Cancelled, PromptFailure
from swarm.worker.families.checkpoint import open_checkpoint
from swarm.worker.families.model import LoadedModel, load_model

DEMO = Path(__file__).parents[3] / "swarm/demo_model"
TEXT = "What is 12 + 30?"


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    checkpoint = open_checkpoint(str(DEMO), "demo")
    return load_model(checkpoint, BlockSpan(0, checkpoint.info.layers), "cpu", torch.float32)


def vectors(model: LoadedModel, *inputs: str | TokenPrompt, cancelled: threading.Event | None = None) -> torch.Tensor:
    event = cancelled or threading.Event()
    with contextlib.closing(Compute()) as compute:
        made = embedding.embed(Embed("1", inputs), model.tokenizer, 1024, Steppers(compute, model).local, event)
    return torch.tensor([struct.unpack(f"<{len(vector) // 4}f", vector) for vector in made.vectors])


@torch.inference_mode()
def expected(model: LoadedModel, ids: list[int]) -> torch.Tensor:
    states = model.causal.base_model(input_ids=torch.tensor([ids])).last_hidden_state[0]
    return torch.nn.functional.normalize(states.mean(dim=0), dim=0)


def test_it_is_the_mean_of_the_last_hidden_states(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = model.tokenizer.encode(TEXT)
    right = expected(model, ids)
    made = vectors(model, TEXT, TokenPrompt(tuple(ids)), "9")
    assert torch.allclose(made[0], right, atol=1e-5)
    assert torch.equal(made[0], made[1])
    assert not torch.allclose(made[2], right, atol=1e-2)
    assert torch.allclose(made.norm(dim=1), torch.ones(3), atol=1e-5)
    monkeypatch.setattr(embedding, "PIECE_TOKENS", 3)
    assert torch.allclose(vectors(model, TEXT)[0], right, atol=1e-5)


def test_a_model_that_cannot_be_cut_embeds_too(model: LoadedModel) -> None:
    whole = replace(model, blocks=None)
    assert torch.allclose(vectors(whole, TEXT)[0], expected(model, model.tokenizer.encode(TEXT)), atol=1e-5)


def test_a_text_that_is_empty_or_too_long_is_refused(model: LoadedModel) -> None:
    for text in ("", "9 " * 1024):
        with pytest.raises(PromptFailure, match=r"is empty|maximum context length is 1024 tokens") as error:
            vectors(model, TEXT, text)
        assert error.value.param == "input"
    assert vectors(model, TokenPrompt((9,) * 1024)).shape[0] == 1
    with pytest.raises(PromptFailure, match="has 1025 tokens"):
        vectors(model, TokenPrompt((9,) * 1025))


def test_a_cancel_is_heard(model: LoadedModel) -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        vectors(model, TEXT, cancelled=cancelled)


def test_a_probe_is_one_real_token(model: LoadedModel) -> None:
    with contextlib.closing(Compute()) as compute:
        probed = probe("1", model.tokenizer, Steppers(compute, model).local)
    assert (probed.route, probed.hops) == ("local", ())
    assert probed.seconds > 0


class Half:
    """Runs the blocks of one hop in this process."""

    def __init__(self, compute: Compute, model: LoadedModel, hop: Hop) -> None:
        assert model.blocks is not None
        self.compute, self.part = compute, SpanPart(model.blocks, hop.span)
        self.cache = model.blocks.new_cache(hop.span, 64)

    def begin(self, hidden: torch.Tensor) -> Step:
        return self.compute.begin(self.part, self.cache, hidden)

    def close(self) -> None:
        self.cache.close()


class TwoNodes:
    layers = 6

    def __init__(self) -> None:
        self.measures = Measures()

    def offers(self, _without: frozenset[str] = frozenset()) -> list[Offer]:
        return [Offer(None, BlockSpan(0, 3)), Offer("12D3", BlockSpan(3, 6), "bob")]


def test_a_chain_gives_the_states_logits_and_times_of_its_hops(model: LoadedModel) -> None:
    ids = model.tokenizer.encode(TEXT)
    with contextlib.closing(Compute()) as compute:
        steppers = Steppers(compute, model)

        def chain(_: int) -> Stepper:
            return steppers.chain(ChainSession(TwoNodes(), lambda hop: Half(compute, model, hop), repair_s=5.0))

        with steppers.local(64) as local, chain(64) as split:
            assert torch.allclose(split.states(ids[:3]), local.states(ids[:3]), atol=1e-4)
            assert torch.allclose(split.states(ids[3:]), local.states(ids[3:]), atol=1e-4)
        with steppers.local(64) as local, chain(64) as split:
            assert torch.allclose(split.step_all(ids), local.step_all(ids), atol=1e-4)
        probed = probe("1", model.tokenizer, chain)
    assert probed.route == "chain"
    assert [(hop.node, hop.start, hop.end) for hop in probed.hops] == [("", 0, 3), ("bob", 3, 6)]
    assert all(0 < (hop.compute_s or 0) < hop.seconds < probed.seconds for hop in probed.hops)
