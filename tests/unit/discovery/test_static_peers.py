"""What the operator may write as a peer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.discovery.static_peers import parse_endpoint, static_endpoints
from swarm.domain.errors import ConfigError
from swarm.domain.nodes import Endpoint


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("192.168.1.20:17615", "192.168.1.20", 17615),
        (" 10.0.0.1:1 ", "10.0.0.1", 1),
        ("NAS.local:65535", "nas.local", 65535),
        ("my_box:80", "my_box", 80),
        ("box.:80", "box.", 80),
        ("[fd00::20]:17615", "fd00::20", 17615),
        ("[FE80:0::1%eth0]:17615", "fe80::1%eth0", 17615),
        ("127.0.0.1:17616", "127.0.0.1", 17616),
    ],
)
def test_addresses_and_names_with_a_port(text: str, host: str, port: int) -> None:
    assert parse_endpoint(text) == Endpoint(host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nas.local",
        "nas.local:",
        ":17615",
        "nas.local:0",
        "nas.local:65536",
        "nas.local:-1",
        "nas.local:١٧",
        "fd00::20:17615",
        "[fd00::20]",
        "[nas]:17615",
        "[]:17615",
        "http://nas:17615",
        "nas/x:17615",
        "-nas:17615",
        "a..b:17615",
        "192.168.1.300:17615",
        "0.0.0.0:17615",
        "[::]:17615",
        "224.0.0.1:17615",
        "255.255.255.255:17615",
        "x" * 300 + ":17615",
    ],
)
def test_nonsense_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ConfigError, match="HOST:PORT"):
        parse_endpoint(text)


@given(st.text(max_size=60) | st.from_regex(r"[\[\]0-9a-f.:%]*:[0-9]{1,6}", fullmatch=True))
def test_whatever_is_written_is_an_endpoint_or_refused(text: str) -> None:
    try:
        endpoint = parse_endpoint(text)
    except ConfigError:
        return
    assert parse_endpoint(str(endpoint)) == endpoint


def test_each_peer_counts_once() -> None:
    assert static_endpoints(["a:1", "b:2", "A:1"]) == (Endpoint("a", 1), Endpoint("b", 2))
