"""A folder that fills: what is told to be here is here, after every end; whole files join the hub's cache."""

import errno
import json
import os
from pathlib import Path

import pytest
from huggingface_hub import scan_cache_dir, try_to_load_from_cache

from swarm.domain.errors import BackendError, PeerError
from swarm.domain.nodes import ModelInfo
from swarm.domain.weights import PIECE_BYTES, FilePieces
from swarm.host.files import write_atomically
from swarm.weights import partial as module
from swarm.weights.folder import HashedFolder, hash_folder
from swarm.weights.hashes import HashMemory
from swarm.weights.notes import begun_offers
from swarm.weights.offers import content_digest
from swarm.weights.partial import CorruptPiece, PartialModel

MODEL = ModelInfo("org/tiny", "d1", 4, 128)
WEIGHTS = os.urandom(2 * PIECE_BYTES + 1000)


@pytest.fixture
def source(tmp_path: Path) -> HashedFolder:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    return hash_folder(folder, MODEL, HashMemory(tmp_path / "hashes", write_atomically), lambda _: None)


def opened(tmp_path: Path, source: HashedFolder) -> PartialModel:
    memory = HashMemory(tmp_path / "hashes", write_atomically)
    model = PartialModel(tmp_path / "hub", source.offer, content_digest(source.offer), memory, write_atomically)
    model.open()
    return model


def learned(tmp_path: Path, source: HashedFolder) -> PartialModel:
    model = opened(tmp_path, source)
    for digest, file in source.files.items():
        model.learn(digest, file.pieces)
    model.note_hashes()
    return model


def weights_digest(source: HashedFolder) -> str:
    return next(file.digest for file in source.offer.files if file.name == "model.safetensors")


def put(model: PartialModel, source: HashedFolder, name: str, *indexes: int) -> None:
    digest = next(file.digest for file in source.offer.files if file.name == name)
    data = source.files[digest].path.read_bytes()
    for index in indexes:
        model.write_piece(digest, index, data[index * PIECE_BYTES : (index + 1) * PIECE_BYTES])


def test_what_was_noted_is_there_after_a_restart_and_what_was_not_is_fetched_again(
    tmp_path: Path, source: HashedFolder
) -> None:
    model, digest = learned(tmp_path, source), weights_digest(source)
    put(model, source, "model.safetensors", 1)
    model.keep()
    put(model, source, "model.safetensors", 2)
    again = opened(tmp_path, source)
    assert [index for index in range(3) if index in again.held(digest)] == [1]
    assert again.pieces(digest) == source.files[digest].pieces
    assert again.path_of(digest).stat().st_size == len(WEIGHTS)
    assert again.path_of(digest).read_bytes()[PIECE_BYTES : 2 * PIECE_BYTES] == WEIGHTS[PIECE_BYTES : 2 * PIECE_BYTES]


def test_what_may_not_have_reached_the_disk_is_checked_again(tmp_path: Path, source: HashedFolder) -> None:
    model, digest = learned(tmp_path, source), weights_digest(source)
    put(model, source, "model.safetensors", 0, 1)
    model.note()
    with model.path_of(digest).open("r+b") as file:
        file.write(bytes(10))  # As after a power cut.
    again = opened(tmp_path, source)
    assert [index for index in range(3) if index in again.held(digest)] == [1]


def test_damaged_notes_and_a_missing_file_hold_nothing(tmp_path: Path, source: HashedFolder) -> None:
    model, digest = learned(tmp_path, source), weights_digest(source)
    put(model, source, "model.safetensors", 0)
    model.keep()
    model.path_of(digest).unlink()
    assert len(opened(tmp_path, source).held(digest)) == 0
    for name in ("held.json", "pieces.json"):
        (model.folder.parent / name).write_text("{")
    assert len(opened(tmp_path, source).held(digest)) == 0


def test_bytes_that_the_hash_does_not_promise_are_not_kept(tmp_path: Path, source: HashedFolder) -> None:
    model, digest = learned(tmp_path, source), weights_digest(source)
    corrupt = bytearray(WEIGHTS[:PIECE_BYTES])
    corrupt[12345] ^= 1
    with pytest.raises(CorruptPiece):
        model.write_piece(digest, 0, bytes(corrupt))
    assert len(model.held(digest)) == 0
    assert not any(model.path_of(digest).read_bytes())
    with pytest.raises(PeerError):
        model.learn(digest, FilePieces(len(WEIGHTS), "0" * 192))


def test_a_part_is_no_model_for_the_tools_of_the_hub_and_the_whole_is(tmp_path: Path, source: HashedFolder) -> None:
    model, cache = learned(tmp_path, source), tmp_path / "hub"
    put(model, source, "config.json", 0)
    put(model, source, "model.safetensors", 0, 2)
    model.keep()
    assert isinstance(try_to_load_from_cache("org/tiny", "config.json", cache, source.offer.revision), str)
    assert try_to_load_from_cache("org/tiny", "model.safetensors", cache, source.offer.revision) is None
    assert not (cache / "models--org--tiny" / "refs").exists()
    put(model, source, "model.safetensors", 1)
    model.keep()
    found = try_to_load_from_cache("org/tiny", "model.safetensors", cache)
    assert isinstance(found, str)
    assert Path(found).read_bytes() == WEIGHTS
    (repo,) = scan_cache_dir(cache).repos
    assert (repo.repo_id, len(repo.revisions)) == ("org/tiny", 1)
    assert model.path_of(weights_digest(source)).samefile(found)


def test_fetched_files_are_not_hashed_again(
    tmp_path: Path, source: HashedFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = learned(tmp_path, source)
    put(model, source, "config.json", 0)
    put(model, source, "model.safetensors", 0, 1, 2)
    model.keep()
    monkeypatch.setattr("swarm.weights.folder.hash_file", lambda *_: pytest.fail("it was hashed again"))
    snapshot = tmp_path / "hub" / "models--org--tiny" / "snapshots" / source.offer.revision
    hashed = hash_folder(snapshot, MODEL, HashMemory(tmp_path / "hashes", write_atomically), lambda _: None)
    assert content_digest(hashed.offer) == content_digest(source.offer)
    assert hashed.offer.revision == source.offer.revision


@pytest.mark.parametrize(("number", "told"), [(errno.ENOSPC, "full"), (errno.EACCES, "cannot be written")])
def test_a_disk_that_refuses_is_told_with_what_to_do(
    tmp_path: Path, source: HashedFolder, monkeypatch: pytest.MonkeyPatch, number: int, told: str
) -> None:
    model = learned(tmp_path, source)

    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module.os, "pwrite", refuse)
    with pytest.raises(BackendError, match=rf"{told}.*hub_cache"):
        put(model, source, "model.safetensors", 0)
    assert len(model.held(weights_digest(source))) == 0


def test_what_an_earlier_run_began_is_found_again(tmp_path: Path, source: HashedFolder) -> None:
    model = learned(tmp_path, source)
    assert begun_offers(tmp_path / "hub", "org/tiny") == [source.offer]
    assert begun_offers(tmp_path / "hub", "org/none") == []
    offer = model.folder.parent / "offer.json"
    offer.write_text(json.dumps({"model_id": "org/tiny"}))
    assert begun_offers(tmp_path / "hub", "org/tiny") == []
