"""Layers in 8 and 4 bits: near the exact model, the same however they are cut, and as large as the planner thinks."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from swarm.domain.ids import Quantization
from swarm.domain.nodes import BlockSpan
from swarm.worker import device
from swarm.worker.failures import LoadFailure
from swarm.worker.families.checkpoint import open_checkpoint
from swarm.worker.families.model import LoadedModel, load_blocks, load_model
from tests.fakes.tiny_checkpoints import CUT, LAYERS, VOCABULARY, WHOLE, write_checkpoint

IDS = torch.randint(3, VOCABULARY, (1, 24), generator=torch.Generator().manual_seed(1))
KINDS: tuple[tuple[Quantization, torch.dtype, float, float], ...] = (
    ("int8", torch.float32, 0.03, 1e-4),
    ("int4", torch.bfloat16, 0.35, 0.05),
)
"""With the largest difference from the exact logits, and from the same layers uncut, relative to the logits' spread."""
HALVES = (BlockSpan(0, 2), BlockSpan(2, LAYERS))

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # in torchao, at import
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def load(folder: Path, span: BlockSpan, kind: Quantization, dtype: torch.dtype) -> LoadedModel:
    return load_model(open_checkpoint(str(folder), "tiny").quantised(kind), span, "cpu", dtype)


@torch.inference_mode()
def through_halves(halves: list[LoadedModel]) -> torch.Tensor:
    caches = [half.blocks.new_cache(span, 64) for half, span in zip(halves, HALVES, strict=True)]

    def run(hidden: torch.Tensor) -> torch.Tensor:
        for half, cache in zip(halves, caches, strict=True):
            hidden = half.blocks.forward(hidden, cache)
        return hidden

    chained, made = halves[0].with_remote_layers(run), []
    for start, end in ((0, 11), (11, 20), *((at, at + 1) for at in range(20, 24))):
        positions = torch.arange(start, end).unsqueeze(0)
        made.append(chained(input_ids=IDS[:, start:end], position_ids=positions, use_cache=False).logits)
    return torch.cat(made, dim=1).float()


@torch.inference_mode()
def logits_of(model: Any) -> torch.Tensor:
    return model(input_ids=IDS, use_cache=False).logits.float()


@pytest.mark.parametrize(("kind", "dtype", "near", "same"), KINDS)
def test_halves_are_what_the_whole_is_and_near_the_exact_model(
    kind: Quantization, dtype: torch.dtype, near: float, same: float, tmp_path: Path
) -> None:
    plain = write_checkpoint(tmp_path, "llama", CUT["llama"])
    exact, whole = logits_of(plain), logits_of(load(tmp_path, BlockSpan(0, LAYERS), kind, dtype).causal)
    made = through_halves([load(tmp_path, span, kind, dtype) for span in HALVES])
    spread = exact.std()
    assert 0 < (whole - exact).abs().mean() / spread < near
    assert (made - whole).abs().mean() / spread < same


def bytes_of(module: nn.Module) -> int:
    held = 0
    for tensor in module.parameters():
        names = [*getattr(tensor, "tensor_data_names", ())]
        held += sum(getattr(tensor, name).nbytes for name in names) if names else tensor.nbytes
    return held


@pytest.mark.parametrize("family", ["llama", "qwen3_moe", "deepseek_v3", "opt"])
@pytest.mark.parametrize(("kind", "dtype"), [kind[:2] for kind in KINDS])
def test_the_planner_knows_the_size_of_a_layer(
    family: str, kind: Quantization, dtype: torch.dtype, tmp_path: Path
) -> None:
    write_checkpoint(tmp_path, family, CUT[family])
    model = load(tmp_path, BlockSpan(0, LAYERS), kind, dtype)
    held = sum(map(bytes_of, model.blocks.layers.values())) / LAYERS
    assert model.checkpoint.layer_bytes(dtype) == pytest.approx(held, rel=0.02)
    assert held < open_checkpoint(str(tmp_path), "tiny").layer_bytes(dtype)


def test_by_its_digest_it_is_another_model_of_the_same_weights(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "llama", CUT["llama"])
    exact = open_checkpoint(str(tmp_path), "tiny")
    digests = {exact.quantised(kind).info.digest for kind in ("none", "int8", "int4")}
    assert len(digests) == 3
    assert {exact.quantised(kind).info.weights_digest for kind in ("none", "int8", "int4")} == {exact.info.digest}


def test_blocks_that_are_taken_over_later_are_quantised_too(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "llama", CUT["llama"])
    model = load(tmp_path, HALVES[0], "int8", torch.float32)
    later = load_blocks(model, HALVES[1], {})
    assert bytes_of(later.layers[2]) == bytes_of(model.blocks.layers[0])


def test_a_family_without_such_matrices_is_refused(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "gpt2", CUT["gpt2"])
    with pytest.raises(LoadFailure, match="no matrices that can be quantised"):
        load(tmp_path, BlockSpan(0, LAYERS), "int8", torch.float32)


@pytest.mark.parametrize("settings", [CUT["falcon"], WHOLE["falcon"]])
def test_a_family_that_does_not_call_its_matrices_as_such_is_refused(settings: dict[str, Any], tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "falcon", settings)
    with pytest.raises(LoadFailure, match="start without --quantization"):
        load(tmp_path, BlockSpan(0, LAYERS), "int8", torch.float32)


def test_what_cannot_be_cut_in_fewer_bits_is_told_that_it_may_be_in_full(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "falcon", CUT["falcon"])
    with pytest.raises(LoadFailure, match="or start without --quantization"):
        load(tmp_path, HALVES[0], "int8", torch.float32)


def test_what_cannot_be_cut_is_quantised_whole(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "qwen3_next", WHOLE["qwen3_next"])
    model = load(tmp_path, BlockSpan(0, LAYERS), "int8", torch.float32)
    assert model.not_cut
    assert bytes_of(model.causal) < bytes_of(load(tmp_path, BlockSpan(0, LAYERS), "none", torch.float32).causal)


def test_the_log_says_what_part_of_the_layers_is_held_in_fewer_bits(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "mixtral", CUT["mixtral"])
    checkpoint = open_checkpoint(str(tmp_path), "tiny").quantised("int8")
    assert checkpoint.makeup is not None
    assert checkpoint.makeup.in_words("int8") == "14% of the layers' weights are held in int8."


def test_four_bits_compute_in_bfloat16_and_others_in_float32_where_half_of_memory_holds_it() -> None:
    model, memory = 2**30, 2**32
    assert device.choose_dtype("cpu", torch.bfloat16, model, memory, "int4") == torch.bfloat16
    for kind in ("none", "int8"):
        assert device.choose_dtype("cpu", torch.bfloat16, model, memory, kind) == torch.float32
        assert device.choose_dtype("cpu", torch.bfloat16, model, 2 * model - 1, kind) == torch.bfloat16
        assert device.choose_dtype("cuda", torch.bfloat16, model, memory, kind) == torch.bfloat16
