"""The table of `peers`, and the address that it is asked of."""

from __future__ import annotations

import pytest

from swarm.cli.peers import HEADINGS, endpoint_of, peer_table
from swarm.domain.errors import ConfigError
from swarm.domain.nodes import Endpoint
from tests.fakes.api_node import peer


def test_a_row_has_everything_that_a_person_asks_for() -> None:
    known, unknown = peer("attic", "abcdefghijklmnop"), peer("x", "zz", status=None, round_trip_s=None, problem="No.")
    heading, first, second = peer_table([known, unknown]).splitlines()
    assert all(word in heading for word in HEADINGS)
    cells = ["attic", "abcdefgh", "192.168.1.7:17615", "alive", "ready", "demo/tiny", "0:8", "4.0", "ms", "0.1.0", "-"]
    assert first.split() == cells
    assert second.split() == ["-", "zz", "192.168.1.7:17615", "alive", *"-----", "No."]


def test_no_peer_is_no_table() -> None:
    assert peer_table([]) == ""


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://10.0.0.1:1234/v1", Endpoint("10.0.0.1", 1234)),
        ("10.0.0.1", Endpoint("10.0.0.1", 17615)),
        ("http://[fd00::1]:9/", Endpoint("fd00::1", 9)),
    ],
)
def test_the_address_is_read_as_people_write_it(url: str, endpoint: Endpoint) -> None:
    assert endpoint_of(url) == endpoint


@pytest.mark.parametrize("url", ["https://10.0.0.1", "http://", "http://10.0.0.1:port", "http://10.0.0.1:99999"])
def test_what_is_no_address_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ConfigError, match="write it as http://"):
        endpoint_of(url)
