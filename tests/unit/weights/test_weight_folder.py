"""Which files of a folder are handed on: a checkpoint's data, and nothing that a link leads elsewhere."""

import json
import os
from pathlib import Path

from swarm.domain.nodes import ModelInfo
from swarm.host.files import write_atomically
from swarm.weights.folder import hash_folder, offered_files
from swarm.weights.hashes import HashMemory, hash_file

MODEL = ModelInfo("tiny", "d1", 4, 128)


def names(folder: Path) -> set[str]:
    return {path.name for path in offered_files(folder)}


def write(folder: Path, *files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        (folder / file).write_bytes(file.encode())


def test_only_data_files_of_the_folder_itself_are_offered(tmp_path: Path) -> None:
    wanted = {"config.json", "tokenizer.json", "model.safetensors", "chat_template.jinja", "tokenizer.model"}
    write(tmp_path, *wanted, "modeling.py", "pytorch_model.bin", ".env.json", "id_rsa", "README.md")
    write(tmp_path / "below.json", "more.json")
    (tmp_path / "empty.json").touch()
    assert names(tmp_path) == wanted


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "secrets", "secret.json")
    write(tmp_path / "model", "config.json")
    (tmp_path / "model" / "tokenizer.json").symlink_to(tmp_path / "secrets" / "secret.json")
    (tmp_path / "model" / "same.json").symlink_to("config.json")
    assert names(tmp_path / "model") == {"config.json", "same.json"}


def test_links_into_the_blobs_of_the_hub_cache_are_its_files(tmp_path: Path) -> None:
    model = tmp_path / "models--org--name"
    write(model / "blobs", "abc")
    write(tmp_path / "models--other" / "blobs", "def")
    snapshot = model / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").symlink_to("../../blobs/abc")
    (snapshot / "model.safetensors").symlink_to("../../../models--other/blobs/def")
    assert names(snapshot) == {"config.json"}
    memory = HashMemory(tmp_path / "hashes", write_atomically)
    assert hash_folder(snapshot, MODEL, memory, lambda _: None).offer.revision == "0" * 40


def test_weights_that_the_index_does_not_name_stay_here(tmp_path: Path) -> None:
    write(tmp_path, "config.json", "model-1.safetensors", "consolidated.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "model-1.safetensors"}}))
    assert names(tmp_path) == {"config.json", "model-1.safetensors", "model.safetensors.index.json"}


def test_a_file_is_read_once_and_again_when_it_has_changed(tmp_path: Path) -> None:
    write(tmp_path, "model.safetensors")
    path = tmp_path / "model.safetensors"
    memory = HashMemory(tmp_path / "hashes", write_atomically)
    assert memory.recall(path) is None
    memory.remember(path, hash_file(path, lambda _: None))
    assert memory.recall(path) == hash_file(path, lambda _: None)
    os.utime(path, ns=(1, 1))
    assert memory.recall(path) is None
    memory.remember(path, hash_file(path, lambda _: None))
    for kept in (tmp_path / "hashes").iterdir():
        kept.write_text("[]")
    assert memory.recall(path) is None


def test_two_folders_with_the_same_files_are_the_same_content(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name, "config.json", "model.safetensors")
    memory = HashMemory(tmp_path / "hashes", write_atomically)
    one, two = (hash_folder(tmp_path / name, MODEL, memory, lambda _: None).offer for name in ("one", "two"))
    assert one == two
