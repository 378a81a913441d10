"""`models` on a made-up cache, without a daemon."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from swarm.cli import main
from swarm.cli.models import size
from swarm.domain.weights import OfferedFile, WeightsOffer
from swarm.weights.inventory import files_of, remove_model, stored_model


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One whole model, one of which a quarter was fetched from other nodes."""
    cache = tmp_path / "hub"
    snapshot = cache / "models--org--whole" / "snapshots" / "main"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    (snapshot / "model.safetensors").write_bytes(b"\1" * 40_960)
    partial = cache / "models--org--part" / "swarm" / "0123456789abcdef"
    (partial / "files").mkdir(parents=True)
    with (partial / "files" / "model.safetensors").open("wb") as file:
        file.write(b"\1" * 40_960)
        file.truncate(4 * 40_960)
    offer = WeightsOffer("org/part", "digest", "0" * 40, (OfferedFile("model.safetensors", 4 * 40_960, "d"),))
    (partial / "offer.json").write_text(json.dumps(asdict(offer)))
    settings = {
        "SWARM_ENGINE_HUB_CACHE": str(cache),
        "SWARM_HOST_DATA_DIR": str(tmp_path / "data"),
        "SWARM_API_HOST": "127.0.0.1",
        "SWARM_API_PORT": "9",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return cache


def test_they_are_listed_with_how_much_of_each_is_here(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    _, demo, part, whole = capsys.readouterr().out.splitlines()
    assert demo.startswith("swarm-demo  whole")
    assert whole.startswith("org/whole   whole")
    assert str(cache / "models--org--whole") in whole
    assert part.startswith("org/part ")
    assert re.search(r" 2\d% fetched", part), "a quarter, and a little for the notes"
    assert main(["models", "list", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["swarm-demo", "org/part", "org/whole"]


def test_where_the_bytes_are(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", "org/part"]) == 0
    told = capsys.readouterr().out
    assert "swarm/0123456789abcdef/files/model.safetensors  40.0 KiB  160.0 KiB" in told
    assert main(["models", "show", "nobody/has-it"]) == 2
    assert "is not in the cache" in capsys.readouterr().err


def test_removing_one_leaves_the_others(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "remove", "org/part", "--yes"]) == 0
    assert "are free again" in capsys.readouterr().out
    assert not (cache / "models--org--part").exists()
    assert stored_model(cache, "org/whole") is not None


@pytest.mark.parametrize("name", ["org--whole", "x" * 5000, "x" * 300 + "/y", "..", ""])
@pytest.mark.parametrize("command", [("show",), ("remove", "--yes")])
def test_what_is_not_spelled_as_it_is_listed_is_not_there(
    cache: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], name: str
) -> None:
    assert main(["models", *command, "--", name]) == 2
    assert "is not in the cache" in capsys.readouterr().err
    assert stored_model(cache, "org/whole") is not None


def test_what_another_process_removed_meanwhile_is_removed(cache: Path) -> None:
    model = stored_model(cache, "org/whole")
    assert model is not None
    for _ in range(2):
        remove_model(model)
    assert not model.folder.exists()
    assert files_of(model) == []


def test_a_folder_that_cannot_be_removed_is_told(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (cache / "models--org--whole").rename(cache / "elsewhere")
    (cache / "models--org--whole").symlink_to(cache / "elsewhere")
    assert main(["models", "remove", "org/whole", "--yes"]) == 2
    assert "cannot be removed: Cannot call rmtree on a symbolic link" in capsys.readouterr().err


def test_a_file_with_two_names_takes_its_place_once(cache: Path) -> None:
    before = stored_model(cache, "org/whole")
    blobs = cache / "models--org--whole" / "blobs"
    blobs.mkdir()
    os.link(cache / "models--org--whole" / "snapshots" / "main" / "model.safetensors", blobs / "d")
    after = stored_model(cache, "org/whole")
    assert before is not None
    assert after is not None
    assert after.on_disk == before.on_disk


def test_what_is_no_name_is_not_pulled(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", "../etc"]) == 2
    assert "not the name of a model" in capsys.readouterr().err


def test_sizes_are_told_as_people_say_them() -> None:
    assert [size(count) for count in (0, 1023, 1536, 2**30, 3 * 2**41)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "1.0 GiB",
        "6.0 TiB",
    ]
