"""Families that cannot be cut say why and answer whole; a block that is not what the family does is found."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.masking_utils import create_masks_for_generate

from swarm.domain.nodes import BlockSpan
from swarm.worker.failures import LoadFailure
from swarm.worker.families import blocks as module
from swarm.worker.families.blocks import Blocks
from swarm.worker.families.checkpoint import open_checkpoint
from swarm.worker.families.comparison import compare_with_family
from swarm.worker.families.model import LoadedModel, load_model
from swarm.worker.families.plain import PlainSequence
from swarm.worker.families.support import CannotBeCut
from tests.fakes.tiny_checkpoints import CUT, LAYERS, VOCABULARY, WHOLE, write_checkpoint

REASONS = {
    "doge": "differs",
    "falcon": "alibi",
    "falcon_h1": "other state",
    "gemma4_text": "share keys and values",
    "lfm2": "other state",
    "mamba": "other state",
    "mpt": "position_bias",
    "qwen3_5_text": "other state",
    "qwen3_next": "other state",
    "rwkv": "stand-in",
}
PROMPT = torch.randint(3, VOCABULARY, (20,), generator=torch.Generator().manual_seed(1)).tolist()
STEPS = 12


def load(folder: Path, start: int, end: int) -> LoadedModel:
    return load_model(open_checkpoint(str(folder), "tiny"), BlockSpan(start, end), "cpu", torch.float32)


def test_the_page_about_models_names_every_family() -> None:
    page = (Path(__file__).parents[3] / "docs" / "models.md").read_text()
    assert f"\n{len(CUT)} families" in page
    assert not {family for family in {**CUT, **WHOLE} if f"`{family}`" not in page}


@pytest.mark.parametrize("family", WHOLE)
def test_what_cannot_be_cut_is_refused_with_the_reason_and_answers_whole(family: str, tmp_path: Path) -> None:
    plain = write_checkpoint(tmp_path, family, WHOLE[family])
    with pytest.raises(LoadFailure, match=rf"{REASONS[family]}.*--engine local"):
        load(tmp_path, 0, 2)
    model = load(tmp_path, 0, LAYERS)
    assert model.blocks is None
    assert REASONS[family] in model.not_cut
    sequence, tokens = PlainSequence(model.causal), [*PROMPT]
    logits = sequence.step(tokens)
    for _ in range(STEPS):
        tokens.append(int(logits.argmax()))
        logits = sequence.step(tokens[-1:])
    expected = plain.generate(torch.tensor([PROMPT]), max_new_tokens=STEPS, do_sample=False, eos_token_id=None)
    assert tokens == expected[0].tolist()


def test_a_model_with_state_of_its_own_is_refused_even_whole(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "recurrent_gemma", {})
    with pytest.raises(LoadFailure, match="one text at a time"):
        load(tmp_path, 0, LAYERS)


def without_window(monkeypatch: pytest.MonkeyPatch, blocks: Blocks) -> None:
    def masks(config: Any, *arguments: Any) -> Any:
        config = copy.deepcopy(config)
        config.sliding_window = None
        return create_masks_for_generate(config, *arguments)

    monkeypatch.setattr(module, "create_masks_for_generate", masks)


def with_other_positions(monkeypatch: pytest.MonkeyPatch, blocks: Blocks) -> None:
    real = blocks._rotary
    monkeypatch.setattr(blocks, "_rotary", lambda hidden, positions: real(hidden, positions * 2))


@pytest.mark.parametrize("spoil", [without_window, with_other_positions])
def test_a_block_that_differs_from_its_family_is_found(
    spoil: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_checkpoint(tmp_path, "mistral", CUT["mistral"] | {"sliding_window": 200})
    model = load(tmp_path, 1, 3)
    assert model.blocks is not None
    assert model.layout is not None
    compare_with_family(model.causal, model.layout, model.blocks)
    spoil(monkeypatch, model.blocks)
    with pytest.raises(CannotBeCut, match="differs"):
        compare_with_family(model.causal, model.layout, model.blocks)
