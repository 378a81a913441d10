"""Without being told, a node takes the model of last time, else the largest that fits, else the demo."""

import json
from pathlib import Path

import pytest

from swarm.engine.model_choice import DEMO_ID, cached_models, choose_model


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    add(tmp_path, "models--org--small", "LlamaForCausalLM", 100)
    add(tmp_path, "models--org--large", "LlamaForCausalLM", 900)
    add(tmp_path, "models--org--vision", "CLIPModel", 50)
    return tmp_path


def add(cache: Path, name: str, architecture: str, size: int) -> None:
    folder = cache / name / "snapshots" / "abc"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    (folder / "model.safetensors").write_bytes(bytes(size))


def test_only_decoder_only_models_are_taken_from_the_cache(cache: Path) -> None:
    assert [model.name for model in cached_models(cache)] == ["org/large", "org/small"]


def test_the_largest_cached_model_that_fits_in_half_of_the_memory_is_chosen(cache: Path) -> None:
    assert choose_model("auto", None, cache, 10_000).id == "org/large"
    assert choose_model("auto", None, cache, 1_000).id == "org/small"


def test_the_demo_model_is_chosen_where_nothing_else_is(tmp_path: Path, cache: Path) -> None:
    assert choose_model("auto", None, tmp_path / "none", 10_000).id == DEMO_ID
    assert choose_model("auto", None, cache, 100).id == DEMO_ID


def test_the_last_used_model_comes_first_while_it_is_there(cache: Path, tmp_path: Path) -> None:
    assert choose_model("auto", "org/small", cache, 10_000).id == "org/small"
    assert choose_model("auto", "org/gone", cache, 10_000).id == "org/large"
    assert choose_model("auto", "demo", cache, 10_000).id == DEMO_ID


def test_a_named_folder_is_called_by_its_name_and_a_hub_name_by_itself(tmp_path: Path) -> None:
    (tmp_path / "my-model").mkdir()
    chosen = choose_model(str(tmp_path / "my-model"), None, tmp_path, 0)
    assert (chosen.path, chosen.id) == (str((tmp_path / "my-model").resolve()), "my-model")
    assert choose_model("org/name", None, tmp_path, 0).path == "org/name"


def test_a_cached_model_is_read_where_it_is_and_remembered_by_name(cache: Path) -> None:
    chosen = choose_model("auto", None, cache, 1_000)
    assert chosen.path.startswith(str(cache))
    assert chosen.remembered == "org/small"


def test_a_model_whose_download_was_broken_off_is_passed_over(cache: Path) -> None:
    folder = cache / "models--org--large" / "snapshots" / "abc"
    shards = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(shards))
    assert [model.name for model in cached_models(cache)] == ["org/small"]


def test_a_broken_config_in_the_cache_is_passed_over(cache: Path) -> None:
    (cache / "models--org--large" / "snapshots" / "abc" / "config.json").write_text("{")
    assert [model.name for model in cached_models(cache)] == ["org/small"]
