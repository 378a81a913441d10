"""Strangers' names and other sites' pages are refused; programs and the own page are not."""

from __future__ import annotations

import pytest

from swarm.api.security import host_is_local, refuse_strangers
from swarm.domain.errors import RequestError

NAMES = ("Attic", "")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "192.168.1.5:17615",
        "[fe80::1]:80",
        "[fe80::1%eth0]:80",
        "[::1]",
        "localhost:1",
        "app.localhost",
        "attic",
        "ATTIC.local.:17615",
    ],
)
def test_addresses_and_own_names_are_answered(host: str) -> None:
    assert host_is_local(host, NAMES)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "attic.evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        ".local",
        "a b",
        "x@127.0.0.1",
        "127.0.0.1:99999999",
        "a" * 300,
    ],
)
def test_other_names_are_not(host: str) -> None:
    assert not host_is_local(host, NAMES)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://192.168.1.5:17615"},
        {"Origin": "http://192.168.1.5:17615", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_programs_and_the_own_page_may_post(headers: dict[str, str]) -> None:
    refuse_strangers("POST", {"Host": "192.168.1.5:17615", **headers}, NAMES)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://192.168.1.5:8080"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ],
)
def test_other_sites_may_not(headers: dict[str, str]) -> None:
    with pytest.raises(RequestError) as caught:
        refuse_strangers("POST", {"Host": "192.168.1.5:17615", **headers}, NAMES)
    assert caught.value.status == 403


def test_a_link_to_the_page_may_be_followed() -> None:
    headers = {"Host": "attic.local", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    refuse_strangers("GET", headers, NAMES)
