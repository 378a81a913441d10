"""config.example.toml is held against the settings classes."""

from __future__ import annotations

import re
import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest

from swarm.config.catalog import catalog
from swarm.config.load import load_settings
from swarm.config.settings import Settings

EXAMPLE = Path(__file__).parents[3] / "config.example.toml"
LINES = EXAMPLE.read_text().splitlines()
KEY = re.compile(r"(\w+) = ")


def test_it_loads_and_changes_nothing() -> None:
    assert load_settings(EXAMPLE, {}, {}) == Settings(config_files=(EXAMPLE,))


def test_it_has_every_setting_once_with_its_default() -> None:
    defaults = {key: value for key, value in asdict(Settings()).items() if key != "config_files"}
    written = tomllib.loads(EXAMPLE.read_text())
    for section, name in (("discovery", "peers"), ("federation", "anchors"), ("api", "keys"), ("api", "cors_origins")):
        written[section][name] = tuple(written[section][name])
    assert written == defaults
    assert sum(KEY.match(line) is not None for line in LINES) == len(catalog())


@pytest.mark.parametrize("number", [n for n, line in enumerate(LINES) if KEY.match(line)], ids=lambda n: LINES[n])
def test_every_key_has_a_comment_above(number: int) -> None:
    assert LINES[number - 1].startswith("# ")


@pytest.mark.parametrize("number", [n for n, line in enumerate(LINES) if re.match(r"\w+_s = ", line)])
def test_every_duration_names_its_unit(number: int) -> None:
    assert "econds" in LINES[number - 1]
