"""Blocks give what the family's own model gives, whatever the family and however they are cut."""

from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
import transformers
from huggingface_hub.errors import HFValidationError

from swarm.domain.nodes import BlockSpan
from swarm.worker.failures import LoadFailure
from swarm.worker.families import checkpoint
from swarm.worker.families.blocks import LayerCache
from swarm.worker.families.checkpoint import open_checkpoint
from swarm.worker.families.model import LoadedModel, load_model
from swarm.worker.families.tensor_names import layer_of

SHAPE: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "Llama": {},
    "Qwen2": {},
    "Qwen3": {"head_dim": 16},
    "Mistral": {"sliding_window": 8},
    "Gemma": {"head_dim": 8},
    "Gemma3Text": {"head_dim": 8, "sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"] * 2},
    "Mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "Phi3": {},
    "GPT2": {"n_embd": 32, "n_layer": 4, "n_head": 4, "n_positions": 128},
    "GPTNeoX": {},
}


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(request.param, tmp_path_factory.mktemp(request.param))


def make_checkpoint(family: str, folder: Path) -> Path:
    """A checkpoint of random weights with a tokenizer, as transformers writes it."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**{**SHAPE, **FAMILIES[family]})
    transformers.MODEL_FOR_CAUSAL_LM_MAPPING[type(config)](config).eval().save_pretrained(folder)
    core = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 3, "<unk>": 0}, "<unk>"))
    transformers.PreTrainedTokenizerFast(tokenizer_object=core).save_pretrained(folder)
    return folder


def load(folder: Path, start: int, end: int) -> LoadedModel:
    return load_model(open_checkpoint(str(folder), "tiny"), BlockSpan(start, end), "cpu", torch.float32)


@torch.inference_mode()
def test_two_halves_give_the_logits_of_the_whole(folder: Path) -> None:
    whole, first, last = load(folder, 0, 4), load(folder, 0, 2), load(folder, 2, 4)
    assert whole.whole
    assert not first.whole
    caches = {half: [LayerCache(64), LayerCache(64)] for half in ("first", "last")}

    def through_both(hidden: torch.Tensor) -> torch.Tensor:
        assert first.blocks is not None
        assert last.blocks is not None
        half = first.blocks.forward(hidden, BlockSpan(0, 2), caches["first"])
        return last.blocks.forward(half, BlockSpan(2, 4), caches["last"])

    chained = first.with_remote_layers(through_both)
    ids = torch.randint(3, 96, (1, 30), generator=torch.Generator().manual_seed(1))
    expected = whole.causal(input_ids=ids, use_cache=False).logits
    # A prompt in two pieces, then single tokens: prefill, chunked prefill and decoding.
    for start, end in ((0, 11), (11, 17), *((at, at + 1) for at in range(17, 30))):
        positions = torch.arange(start, end).unsqueeze(0)
        logits = chained(input_ids=ids[:, start:end], position_ids=positions, use_cache=False).logits
        torch.testing.assert_close(logits, expected[:, start:end], atol=2e-5, rtol=1e-4)


def test_only_the_tensors_of_the_wanted_layers_are_read(folder: Path) -> None:
    checkpoint = open_checkpoint(str(folder), "tiny")
    with checkpoint.slices([1]) as slices:
        assert {layer_of(name) for name in slices} == {1, None}
        assert len(slices) < len(checkpoint.file_of)


def test_the_digest_names_the_weights_and_not_the_folder(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    digest = open_checkpoint(str(folder), "a").info.digest
    assert open_checkpoint(str(copy), "b").info.digest == digest
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-5] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    assert open_checkpoint(str(copy), "b").info.digest != digest


def test_a_cache_grows_without_losing_what_it_holds() -> None:
    cache = LayerCache(2000)
    pieces = [torch.randn(1, 2, size, 4) for size in (3, 300, 1, 700)]
    for piece in pieces:
        keys, values = cache.update(piece, piece * 2)
        cache.past += piece.shape[2]
    torch.testing.assert_close(keys, torch.cat(pieces, dim=2))
    torch.testing.assert_close(values, 2 * torch.cat(pieces, dim=2))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no config.json"),
        ({"config.json": b'{"model_type": "llama"}'}, r"no \*\.safetensors"),
        ({"config.json": b'{"model_type": "nothing-known"}'}, "not understood"),
        ({"config.json": b'{"model_type": "llama"}', "model.safetensors": b"torn"}, "cannot be read"),
    ],
)
def test_what_is_no_checkpoint_is_refused_with_the_reason(
    tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(LoadFailure, match=message):
        open_checkpoint(str(tmp_path), "broken")


@pytest.mark.parametrize(
    ("error", "permanent"),
    [(ConnectionError("reset by peer"), False), (HFValidationError("a b: no such name"), True)],
)
def test_a_download_that_broke_off_may_be_tried_again_and_a_wrong_name_not(
    monkeypatch: pytest.MonkeyPatch, error: Exception, permanent: bool
) -> None:
    def snapshot_download(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(checkpoint, "snapshot_download", snapshot_download)
    with pytest.raises(LoadFailure, match="org/name") as failure:
        open_checkpoint("org/name", "name")
    assert failure.value.permanent == permanent
