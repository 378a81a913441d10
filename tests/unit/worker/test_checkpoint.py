"""Checkpoints in all the forms in which they are stored: what is read of them, and what is refused."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from swarm.domain.nodes import BlockSpan
from swarm.worker.failures import LoadFailure
from swarm.worker.families import checkpoint as module
from swarm.worker.families.checkpoint import open_checkpoint
from swarm.worker.families.model import LoadedModel, load_model
from swarm.worker.families.tensor_names import layer_of, text_names
from tests.fakes.tiny_checkpoints import CUT, LAYERS, SHAPE, VOCABULARY, write_checkpoint, write_tokenizer

WHOLE = BlockSpan(0, LAYERS)
IDS = torch.randint(3, VOCABULARY, (1, 20), generator=torch.Generator().manual_seed(1))


def load(folder: Path, span: BlockSpan | None = WHOLE, dtype: torch.dtype = torch.float32) -> LoadedModel:
    return load_model(open_checkpoint(str(folder), "tiny"), span, "cpu", dtype)


@torch.inference_mode()
def assert_same(model: Any, plain: Any) -> None:
    expected = plain(input_ids=IDS, use_cache=False).logits
    torch.testing.assert_close(model.causal(input_ids=IDS, use_cache=False).logits, expected, atol=1e-6, rtol=0)


def rewrite(folder: Path, change: Any) -> None:
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


@pytest.mark.parametrize("family", ["llama", "qwen3_moe", "gpt2"])
def test_a_checkpoint_in_many_files_is_the_same_model(family: str, tmp_path: Path) -> None:
    plain = write_checkpoint(tmp_path, family, CUT[family], max_shard_size="100KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 3
    assert_same(load(tmp_path), plain)


def test_only_what_is_needed_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_checkpoint(tmp_path, "qwen3_moe", CUT["qwen3_moe"], max_shard_size="100KB")
    checkpoint = open_checkpoint(str(tmp_path), "tiny")
    read: set[str] = set()
    opened: set[str] = set()
    real_open = module.safe_open

    class Counting:
        def __init__(self, file: Path, **named: Any) -> None:
            opened.add(Path(file).name)
            self._opened = real_open(file, **named)

        def __enter__(self) -> "Counting":
            return self

        def __exit__(self, *_: object) -> None:
            self._opened.__exit__(None, None, None)

        def get_slice(self, name: str) -> Any:
            read.add(name)
            return self._opened.get_slice(name)

    monkeypatch.setattr(module, "safe_open", Counting)
    load_model(checkpoint, BlockSpan(1, 2), "cpu", torch.float32)
    assert {layer_of(name) for name in read} == {1, None}
    needed = checkpoint.ends_bytes(checkpoint.stored_dtype()) + sum(
        size for name, size in checkpoint.bytes_of.items() if layer_of(name) == 1
    )
    assert sum(checkpoint.bytes_of[name] for name in read) == needed < sum(checkpoint.bytes_of.values()) / 2
    assert len(opened) < len(list(tmp_path.glob("*.safetensors")))


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16])
def test_short_formats_are_read_into_the_one_that_is_asked_for(stored: torch.dtype, tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "llama", CUT["llama"]).to(stored).save_pretrained(tmp_path)
    assert open_checkpoint(str(tmp_path), "tiny").stored_dtype() == stored
    assert_same(load(tmp_path), transformers.LlamaForCausalLM.from_pretrained(tmp_path, dtype=torch.float32))
    assert load(tmp_path, dtype=torch.bfloat16).blocks.dtype == torch.bfloat16


def vision(kind: str) -> dict[str, Any]:
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    return {**shape, "image_size": 32, "patch_size": 16, "model_type": kind}


@pytest.mark.parametrize(
    ("kind", "family", "eyes", "more"),
    [
        ("Gemma3", "gemma3_text", "siglip_vision_model", {"mm_tokens_per_image": 4}),
        ("Llava", "llama", "clip_vision_model", {}),
        ("Mistral3", "mistral", "pixtral", {}),
    ],
)
def test_the_language_model_of_a_multimodal_checkpoint_is_taken_alone(
    kind: str, family: str, eyes: str, more: dict[str, Any], tmp_path: Path
) -> None:
    settings = {**SHAPE, **CUT[family], "model_type": family}
    config = getattr(transformers, f"{kind}Config")(text_config=settings, vision_config=vision(eyes), **more)
    torch.manual_seed(0)
    plain = getattr(transformers, f"{kind}ForConditionalGeneration")(config).eval()
    plain.save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    checkpoint = open_checkpoint(str(tmp_path), "tiny")
    assert not any("vision" in name or "projector" in name for name in checkpoint.file_of)
    assert_same(load(tmp_path), plain)


@pytest.mark.parametrize(
    ("stored", "own"),
    [
        ("model.language_model.layers.1.mlp.weight", "model.layers.1.mlp.weight"),
        ("language_model.model.layers.1.mlp.weight", "model.layers.1.mlp.weight"),
        ("language_model.lm_head.weight", "lm_head.weight"),
        ("model.layers.1.mlp.weight", "model.layers.1.mlp.weight"),
    ],
)
def test_a_text_tensor_is_known_by_its_own_name(stored: str, own: str) -> None:
    others = ["visual.blocks.0.weight", "model.visual.blocks.0.weight", "vision_tower.layers.0.weight"]
    assert text_names([stored, *others]) == {stored: own}


def test_layers_that_guess_ahead_are_left_out(tmp_path: Path) -> None:
    plain = write_checkpoint(tmp_path, "llama", CUT["llama"])
    more = {f"model.layers.{LAYERS}.eh_proj.weight": torch.zeros(4, 4)}
    rewrite(tmp_path, lambda tensors: tensors | more)
    assert_same(load(tmp_path), plain)


def test_a_missing_tensor_is_found_and_not_made_up(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "llama", CUT["llama"])
    lost = "model.layers.2.mlp.up_proj.weight"
    rewrite(tmp_path, lambda tensors: {name: tensor for name, tensor in tensors.items() if name != lost})
    assert load(tmp_path, BlockSpan(0, 2)).blocks
    with pytest.raises(LoadFailure, match=re.escape(lost)):
        load(tmp_path, BlockSpan(2, 4))


def test_a_missing_layer_is_found_before_anything_is_read(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "llama", CUT["llama"])
    rewrite(tmp_path, lambda tensors: {name: tensor for name, tensor in tensors.items() if layer_of(name) != 3})
    with pytest.raises(LoadFailure, match="4 layers by its config and 3 in its files"):
        open_checkpoint(str(tmp_path), "tiny")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quantization_config": {"quant_method": "mxfp4"}}, r"stored quantised \(mxfp4\).*--quantization"),
        ({"model_type": "t5"}, "not a decoder-only"),
        ({"model_type": "bart"}, "not a decoder-only"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_config(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "llama", CUT["llama"])
    config = tmp_path / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | changes))
    with pytest.raises(LoadFailure, match=message):
        open_checkpoint(str(tmp_path), "tiny")
