"""Which values are allowed."""

from __future__ import annotations

import math
from typing import get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.config.catalog import Setting, catalog
from swarm.config.flags import SETTING_OF_FLAG
from swarm.config.rules import RULES, check, is_blocks, is_listening_address, is_peer
from swarm.config.settings import Settings
from swarm.domain.errors import ConfigError

NUMBERS = [setting for setting in catalog().values() if setting.type in (int, float)]


@pytest.mark.parametrize("text", ["auto", "none", "all", "1", "12", "0:1", "4:16"])
def test_blocks(text: str) -> None:
    assert is_blocks(text)


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "5:2", "2:2", "1:", ":2", "a:b", "1:2:3", "AUTO", " 1", "1\n", "1.5", "²", "9999999"]
)
def test_not_blocks(text: str) -> None:
    assert not is_blocks(text)


@pytest.mark.parametrize("text", ["127.0.0.1", "192.168.1.2", "::1", "fd00::2", "fe80::1%eth0", "100.64.1.2"])
def test_listening_addresses(text: str) -> None:
    assert is_listening_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0",
        "::",
        "0:0:0:0:0:0:0:0",
        "::ffff:0.0.0.0",
        "255.255.255.255",
        "224.0.0.251",
        "ff02::fb",
        "localhost",
        "1.2.3",
        "0",
    ],
)
def test_addresses_that_are_refused(text: str) -> None:
    assert not is_listening_address(text)


@pytest.mark.parametrize("text", ["192.168.1.2:17615", "box:1", "box.local:65535", "[fd00::2]:80", "[fe80::1%eth0]:80"])
def test_peers(text: str) -> None:
    assert is_peer(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "box",
        ":80",
        "box:",
        "box:0",
        "box:65536",
        "box:x",
        "http://box:80",
        "fd00::2:80",
        "[box]:80",
        "0.0.0.0/0:80",
    ],
)
def test_not_peers(text: str) -> None:
    assert not is_peer(text)


@given(st.text())
def test_grammars_refuse_without_failing(text: str) -> None:
    for grammar in (is_blocks, is_listening_address, is_peer):
        assert grammar(text) in (True, False)


@pytest.mark.parametrize("setting", NUMBERS, ids=lambda setting: setting.name)
@pytest.mark.parametrize("number", [-1, -0.5, math.nan, math.inf, 2**31])
def test_no_number_is_negative_or_endless(setting: Setting, number: float) -> None:
    with pytest.raises(ConfigError):
        check(setting, number, is_text=False)


@pytest.mark.parametrize("setting", catalog().values(), ids=lambda setting: setting.name)
def test_every_default_is_allowed(setting: Setting) -> None:
    default = getattr(getattr(Settings(), setting.section), setting.field)
    assert check(setting, default, is_text=False) == default


@pytest.mark.parametrize("setting", catalog().values(), ids=lambda setting: setting.name)
def test_every_type_has_words(setting: Setting) -> None:
    kind = setting.type
    assert (
        kind in (str, bool, int, float) or get_origin(kind) is tuple or all(isinstance(w, str) for w in get_args(kind))
    )
    with pytest.raises(ConfigError, match="it must be"):
        check(setting, object(), is_text=False)


def test_rules_and_flags_are_about_settings_that_exist() -> None:
    assert set(RULES) <= set(catalog())
    assert set(SETTING_OF_FLAG.values()) <= set(catalog())


def test_variables_are_told_apart() -> None:
    assert len({setting.variable for setting in catalog().values()}) == len(catalog())
