"""The data folder and the key in it, on a real disk."""

from __future__ import annotations

import logging
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from swarm.domain.errors import ConfigError
from swarm.host.files import write_atomically
from swarm.host.folders import DataFolder, open_data_folder, resolve_data_dir
from swarm.host.identity import load_identity, node_id

HOLDER = """
import sys
from pathlib import Path
from swarm.host.folders import open_data_folder
with open_data_folder(Path(sys.argv[1])):
    sys.stdout.write("held\\n"); sys.stdout.flush(); sys.stdin.read()
"""


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_node_is_the_same_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "identity.pem"
    first = load_identity(path)
    assert load_identity(path).node == first.node
    assert re.fullmatch(r"[a-z2-7]{16}", first.node)
    assert mode(path) == 0o600


def test_the_id_follows_from_the_key_alone() -> None:
    # The key of RFC 8032, section 7.1, test 1; the id computed with `openssl pkey -pubout` and `sha256sum`.
    key = Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    )
    assert node_id(key.public_key()) == "a3r73d62fg5wbk2z"


@pytest.mark.parametrize("damage", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_damaged_key_is_set_aside_and_made_anew(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "identity.pem"
    path.write_bytes(damage)
    with caplog.at_level(logging.WARNING):
        identity = load_identity(path)
    assert load_identity(path).node == identity.node
    assert (tmp_path / "identity.pem.corrupt-1").read_bytes() == damage
    assert "a damaged file was set aside" in caplog.messages


def test_damaged_files_do_not_replace_each_other(tmp_path: Path) -> None:
    for damage in (b"1", b"2"):
        (tmp_path / "identity.pem").write_bytes(damage)
        load_identity(tmp_path / "identity.pem")
    assert [(tmp_path / f"identity.pem.corrupt-{n}").read_bytes() for n in (1, 2)] == [b"1", b"2"]


def test_a_key_of_another_kind_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "identity.pem"
    path.write_bytes(
        X25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    load_identity(path)
    assert (tmp_path / "identity.pem.corrupt-1").exists()


def test_a_key_that_cannot_be_read_is_the_operators_to_mend(tmp_path: Path) -> None:
    (tmp_path / "identity.pem").mkdir()
    with pytest.raises(ConfigError, match=r"identity.pem cannot be used: .*--data-dir"):
        load_identity(tmp_path / "identity.pem")


def test_state_that_cannot_be_read_is_the_operators_to_mend(tmp_path: Path) -> None:
    (tmp_path / "state.json").mkdir()
    with pytest.raises(ConfigError, match=r"state.json cannot be read"):
        DataFolder(tmp_path).read_json("state.json")


def test_a_key_that_others_can_read_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "identity.pem"
    identity = load_identity(path)
    path.chmod(0o644)
    assert load_identity(path).node == identity.node
    assert mode(path) == 0o600


def test_a_write_that_fails_leaves_the_old_file_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.json"
    write_atomically(path, b"old")

    def fail(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["state.json"]


def test_the_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    with open_data_folder(tmp_path / "a/b") as folder:
        assert mode(folder.path) == 0o700


def test_json_comes_back_as_it_was_written(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    assert folder.read_json("state.json") is None
    folder.write_json("state.json", {"model": "größe"})
    assert folder.read_json("state.json") == {"model": "größe"}
    assert folder.state_path.exists()


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b"\xff", b"[" * 100_000])
def test_damaged_json_is_set_aside(tmp_path: Path, damage: bytes) -> None:
    folder = DataFolder(tmp_path)
    folder.state_path.write_bytes(damage)
    assert folder.read_json("state.json") is None
    assert (tmp_path / "state.json.corrupt-1").exists()


def test_a_second_daemon_is_told_who_holds_the_folder_and_what_to_do(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match=rf"process {holder.pid}\) .*--data-dir"), open_data_folder(tmp_path):
            pass
        holder.kill()
    # The lock went with the process, though nothing was cleaned up.
    with open_data_folder(tmp_path):
        assert (tmp_path / "daemon.lock").read_text() == f"{os.getpid()}\n"


def test_the_lock_is_free_after_leaving(tmp_path: Path) -> None:
    for _ in range(2):
        with open_data_folder(tmp_path):
            pass


def test_a_full_disk_does_not_keep_the_daemon_from_its_folder(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # No file may grow: writing fails as it does on a full disk, by another number.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with open_data_folder(tmp_path) as folder:
            assert folder.path == tmp_path
            with pytest.raises(OSError, match="File too large"):
                folder.write_json("state.json", {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == ["daemon.lock"]


def test_a_folder_that_cannot_be_made_names_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot be used: .*--data-dir"), open_data_folder(tmp_path / "file/data"):
        pass


def test_the_usual_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert resolve_data_dir().name == "local-swarm"
    assert resolve_data_dir("~/swarm") == tmp_path / "swarm"
    assert resolve_data_dir("swarm") == Path.cwd() / "swarm"
