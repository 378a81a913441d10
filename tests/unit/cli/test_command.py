"""The command line, up to the call that starts the daemon."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import swarm
import swarm.app
from swarm.cli import main
from swarm.cli.command import daemon
from swarm.config.settings import Settings
from swarm.domain.errors import ConfigError

Started = list[Settings]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Started:
    """The settings with which the daemon was started; nothing of the developer's own machine is read."""
    runs: Started = []

    def run(settings: Settings) -> int:
        runs.append(settings)
        return 7

    monkeypatch.setattr(swarm.app, "run", run, raising=False)
    monkeypatch.setattr("swarm.host.logs.set_up_logging", lambda level, format: None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    for name in [name for name in os.environ if name.startswith("SWARM_")]:
        monkeypatch.delenv(name)
    return runs


def refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    return captured.err


def test_the_daemons_exit_code_is_ours(started: Started) -> None:
    assert main(["--auto"]) == 7


def test_auto_leaves_all_to_the_defaults(started: Started) -> None:
    main(["--auto"])
    assert started == [Settings()]


def test_auto_keeps_what_is_set(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWARM_ENGINE_MODEL", "demo")
    main(["--auto"])
    assert started[0].engine.model == "demo"


def test_every_flag_reaches_its_setting(started: Started, tmp_path: Path) -> None:
    main(
        f"--auto --federation --strategy first_valid --model demo --blocks 0:4 --engine chain --host 127.0.0.1 --port 0"
        f" --peer 127.0.0.1:1 --peer box:2 --no-mdns --data-dir {tmp_path} --log-level debug --log-format json".split()
    )
    settings = started[0]
    assert (settings.federation.enabled, settings.federation.strategy) == (True, "first_valid")
    assert (settings.engine.model, settings.engine.blocks, settings.engine.engine) == ("demo", "0:4", "chain")
    assert (settings.api.host, settings.api.port) == ("127.0.0.1", 0)
    assert (settings.discovery.peers, settings.discovery.mdns) == (("127.0.0.1:1", "box:2"), False)
    assert (settings.host.data_dir, settings.log.level, settings.log.format) == (str(tmp_path), "debug", "json")


def test_flags_that_are_absent_leave_the_environment_alone(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWARM_FEDERATION_ENABLED", "1")
    monkeypatch.setenv("SWARM_DISCOVERY_MDNS", "0")
    monkeypatch.setenv("SWARM_DISCOVERY_PEERS", "box:1")
    main(["--auto"])
    assert started[0].federation.enabled
    assert not started[0].discovery.mdns
    assert started[0].discovery.peers == ("box:1",)


def test_a_config_file_by_name(started: Started, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[api]\nport = 5\n")
    main(["--config", str(tmp_path / "mine.toml")])
    assert started[0].api.port == 5


def test_nothing_at_all_says_how_to_start(started: Started, capsys: pytest.CaptureFixture[str]) -> None:
    assert "local-swarm --auto" in refused([], capsys)
    assert started == []


def test_a_config_file_in_the_folder_is_enough_to_start(started: Started, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("")
    assert main([]) == 7


def test_a_variable_is_enough_to_start(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWARM_ENGINE_MODEL", "demo")
    assert main([]) == 7


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--stratgy", "x"], "--strategy"),
        (["--strategy", "best"], "'best_of_n'"),
        (["--port", "70000"], "0<=x<=65535"),
        (["--port", "x"], "not a valid integer"),
        (["--host", "0.0.0.0"], "error: --host: '0.0.0.0' is not allowed"),
        (["--blocks", "5:2"], "A:B with A below B"),
        (["--peer", "box"], "error: --peer: ('box',) is not allowed: it must be a list of HOST:PORT"),
        (["--config", "absent.toml"], "absent.toml cannot be read"),
        (["--model"], "requires an argument"),
        (["serve"], "No such command 'serve'"),
    ],
)
def test_mistakes_get_one_message_and_exit_code_2(
    started: Started, capsys: pytest.CaptureFixture[str], argv: list[str], said: str
) -> None:
    assert said in refused(argv, capsys)
    assert started == []


def test_what_the_daemon_finds_wrong_is_said_the_same_way(
    started: Started, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(settings: Settings) -> int:
        raise ConfigError("the data folder is in use")

    monkeypatch.setattr(swarm.app, "run", refuse, raising=False)
    assert refused(["--auto"], capsys) == "error: the data folder is in use\n"


def test_ctrl_c_while_starting_is_no_traceback(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(settings: Settings) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(swarm.app, "run", interrupt, raising=False)
    assert main(["--auto"]) == 130


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"local-swarm, version {swarm.__version__}\n"


def test_help_is_grouped_with_variables_and_examples() -> None:
    result = CliRunner().invoke(daemon, ["--help"])
    assert result.exit_code == 0
    for expected in (
        "\nModel:\n",
        "\nNetwork:\n",
        "[SWARM_ENGINE_MODEL]",
        "[SWARM_API_PORT]",
        "\nExamples:\n",
        "config.toml",
    ):
        assert expected in result.output
    assert max(map(len, result.output.splitlines())) <= 120


def test_help_names_every_option() -> None:
    output = CliRunner().invoke(daemon, ["--help"]).output
    options = [name for parameter in daemon.params for name in parameter.opts]
    assert all(name in output for name in options)


def test_a_sub_command_can_join(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setitem(daemon.commands, "doctor", click.Command("doctor", callback=lambda: ran.append("doctor")))
    assert main(["--port", "1", "doctor"]) == 0
    assert (ran, started) == (["doctor"], [])
