"""Defaults < config file < environment < flags, and what is said of a mistake."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from swarm.config.load import load_settings
from swarm.config.settings import Settings
from swarm.domain.errors import ConfigError


@pytest.fixture(autouse=True)
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file of the developer's own machine is read."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def problem(
    environ: dict[str, str] | None = None, flags: dict[str, object] | None = None, file: Path | None = None
) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(file, environ or {}, flags or {})
    return str(caught.value)


def test_nothing_given_is_the_defaults() -> None:
    assert load_settings(None, {}, {}) == Settings()


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        load_settings(None, {}, {}).log = None  # type: ignore[misc, assignment]


def test_each_source_overrides_the_weaker_ones(tmp_path: Path) -> None:
    file = write(tmp_path / "a.toml", "[api]\nport = 1\nport_tries = 1\nkeep_alive_s = 1\n")
    environ = {"SWARM_API_PORT": "2", "SWARM_API_PORT_TRIES": "2"}

    api = load_settings(file, environ, {"--port": 3}).api

    assert (api.port, api.port_tries, api.keep_alive_s, api.drain_s) == (3, 2, 1.0, 5.0)


def test_flags_that_were_not_given_override_nothing() -> None:
    assert load_settings(None, {"SWARM_API_PORT": "2"}, {"--port": None}).api.port == 2


def test_the_current_folders_file_is_stronger_than_the_data_folders(tmp_path: Path) -> None:
    here = write(Path.cwd() / "config.toml", '[log]\nlevel = "debug"\n')
    kept = write(tmp_path / "data/config.toml", '[log]\nlevel = "error"\nformat = "json"\n')

    settings = load_settings(None, {"SWARM_HOST_DATA_DIR": str(tmp_path / "data")}, {})

    assert (settings.log.level, settings.log.format) == ("debug", "json")
    assert settings.config_files == (kept, here)


def test_the_data_folder_of_the_flag_is_searched_rather_than_that_of_the_variable(tmp_path: Path) -> None:
    kept = write(tmp_path / "flag/config.toml", "")
    write(tmp_path / "variable/config.toml", "")

    settings = load_settings(
        None, {"SWARM_HOST_DATA_DIR": str(tmp_path / "variable")}, {"--data-dir": str(tmp_path / "flag")}
    )

    assert settings.config_files == (kept,)


def test_a_named_file_is_the_only_one_read(tmp_path: Path) -> None:
    write(Path.cwd() / "config.toml", "[api]\nport = 1\n")
    file = write(tmp_path / "other.toml", "")

    settings = load_settings(file, {}, {})

    assert settings.api.port == 17615
    assert settings.config_files == (file,)


def test_a_file_that_is_both_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    write(Path.cwd() / "config.toml", "")
    assert len(load_settings(None, {"SWARM_HOST_DATA_DIR": str(Path.cwd())}, {}).config_files) == 1


@pytest.mark.parametrize(("text", "value"), [("1", True), ("yes", True), ("true", True), ("0", False), ("No", False)])
def test_booleans_in_variables(text: str, value: bool) -> None:
    assert load_settings(None, {"SWARM_FEDERATION_ENABLED": text}, {}).federation.enabled is value


def test_lists_in_variables_are_comma_separated() -> None:
    settings = load_settings(None, {"SWARM_DISCOVERY_PEERS": "192.168.1.2:17615, box.local:80,"}, {})
    assert settings.discovery.peers == ("192.168.1.2:17615", "box.local:80")


def test_an_unknown_variable_names_the_nearest() -> None:
    said = problem({"SWARM_API_PROT": "1"})
    assert said == "the environment variable SWARM_API_PROT is not a setting; did you mean SWARM_API_PORT?"


def test_other_peoples_variables_are_not_ours() -> None:
    assert load_settings(None, {"PATH": "/bin", "SWARMING": "1"}, {}) == Settings()


def test_an_unknown_key_names_file_section_and_nearest(tmp_path: Path) -> None:
    file = write(tmp_path / "a.toml", "[api]\nprot = 1\n")
    assert problem(file=file) == f"{file}: [api] prot is not a setting; did you mean port?"


def test_an_unknown_section_names_the_nearest(tmp_path: Path) -> None:
    file = write(tmp_path / "a.toml", "[federatoin]\nenabled = true\n")
    assert "federatoin is not a section; did you mean federation?" in problem(file=file)


def test_a_key_above_the_first_section_is_told_where_it_belongs(tmp_path: Path) -> None:
    file = write(tmp_path / "a.toml", "port = 1\n")
    assert "port is not a section; it belongs in [api]" in problem(file=file)


def test_a_value_where_a_section_should_be(tmp_path: Path) -> None:
    assert "write [api]" in problem(file=write(tmp_path / "a.toml", "api = 1\n"))


def test_config_files_is_not_a_section(tmp_path: Path) -> None:
    assert "not a section" in problem(file=write(tmp_path / "a.toml", "config_files = []\n"))


@pytest.mark.parametrize("text", ["[api", "\x00", "[api]\nport = 1\nport = 2\n"])
def test_a_file_that_is_not_toml(tmp_path: Path, text: str) -> None:
    assert "is not TOML" in problem(file=write(tmp_path / "a.toml", text))


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(b"\xff\xfe")
    assert "is not TOML" in problem(file=file)


@pytest.mark.parametrize("name", ["absent.toml", "."])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    assert "cannot be read" in problem(file=tmp_path / name)


def test_toml_types_are_taken_literally(tmp_path: Path) -> None:
    file = write(tmp_path / "a.toml", '[api]\nport = "80"\n[discovery]\nmdns = 1\n[engine]\nslots = true\n')
    said = problem(file=file).splitlines()
    assert [line.partition(": [")[2].partition(":")[0] for line in said] == [
        "api] port",
        "discovery] mdns",
        "engine] slots",
    ]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    said = problem({"SWARM_API_PORT": "x", "SWARM_NOTHING": ""}, {"--host": "0.0.0.0"})
    assert len(said.splitlines()) == 3
    assert "SWARM_API_PORT: 'x' is not allowed: it must be a TCP port, 0 to 65535" in said
    assert "--host: '0.0.0.0' is not allowed" in said


def test_a_weaker_source_must_be_right_as_well() -> None:
    assert "SWARM_API_PORT" in problem({"SWARM_API_PORT": "x"}, {"--port": 80})


def test_a_wrong_choice_lists_all_and_names_the_nearest() -> None:
    said = problem({"SWARM_FEDERATION_STRATEGY": "best_of_m"})
    assert "one of best_of_n, weighted_vote, first_valid, mbr, abstain, route; did you mean best_of_n?" in said


def test_a_long_value_is_cut_in_the_message() -> None:
    assert len(problem({"SWARM_API_PORT": "9" * 10_000})) < 200


def test_settings_that_contradict_each_other_are_refused() -> None:
    assert "restart_min_s must not be above" in problem({"SWARM_ENGINE_RESTART_MIN_S": "31"})
    assert "dead_after_s must be above" in problem({"SWARM_MEMBERSHIP_DEAD_AFTER_S": "1"})
