"""Announcements out and in: what nodes say survives, and what others forge does no harm."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zeroconf import ServiceInfo

from swarm.discovery.service import service_info
from swarm.discovery.service_record import ServiceRecord, instance_name, may_be_dialled, read_service
from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Advert, Endpoint

THIS = NodeId("aaaaaaaaaaaaaaaa")
LAN = (ip_network("10.77.0.0/24"), ip_network("fe80::/64"), ip_network("fd00::/64"))
LOOPBACK = (ip_network("127.0.0.0/8"),)
ADVERT = Advert(
    node=NodeId("bbbbbbbbbbbbbbbb"),
    boot=BootId("0123456789abcdef"),
    endpoints=(Endpoint("10.77.0.2", 17615), Endpoint("fd00::2", 17615)),
    version="0.1.0",
    protocol=1,
    instances=3,
    model_id="org/model",
    hardware_summary="RTX 4090, 24 GiB",
)


def received(info: ServiceInfo) -> ServiceRecord:
    """As it comes out at the other end: the TXT record is packed and unpacked."""
    copy = ServiceInfo(info.type, info.name, properties=info.text)
    return ServiceRecord(info.name, info.port, tuple(info.parsed_scoped_addresses()), copy.properties)


RECORD = received(service_info(ADVERT))


def test_what_a_node_announces_is_what_the_others_read() -> None:
    assert read_service(RECORD, THIS, LAN) == ADVERT


def test_this_node_is_not_reported() -> None:
    assert read_service(RECORD, ADVERT.node, LAN) is None


texts = st.text(st.characters(blacklist_categories=("Cs",)), max_size=400)


@given(texts, texts, texts)
def test_long_and_odd_texts_fit_and_come_out_clean(version: str, model: str, hardware: str) -> None:
    advert = replace(ADVERT, version=version, model_id=model, hardware_summary=hardware)
    read = read_service(received(service_info(advert)), THIS, LAN)
    assert read is not None
    for text in (read.version, read.model_id, read.hardware_summary):
        assert text.isprintable()
        assert len(text.encode()) <= 3 * 255


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "x"},
        {"name": "_local-swarm._tcp.local."},
        {"name": instance_name(NodeId("cccccccccccccccc"))},
        {"name": instance_name(NodeId("<img src=x onerror=alert(1)>"))},
        {"port": None},
        {"port": 22},
        {"port": 65536},
        {"addresses": ()},
        {"addresses": ("127.0.0.1", "8.8.8.8", "not an address")},
        {"properties": {}},
        {"properties": {b"node": ADVERT.node.encode(), b"boot": None}},
        {"properties": {b"node": b"\xff", b"boot": b"1"}},
        {"properties": {b"node": ADVERT.node.encode(), b"boot": b"x" * 65}},
    ],
)
def test_what_is_not_well_formed_is_ignored(changes: dict[str, object]) -> None:
    assert read_service(replace(RECORD, **changes), THIS, LAN) is None  # type: ignore[arg-type]


@given(
    name=st.text() | st.just(RECORD.name),
    port=st.none() | st.integers(),
    addresses=st.lists(st.text() | st.ip_addresses().map(str) | st.just("10.77.0.9"), max_size=12),
    properties=st.dictionaries(
        st.sampled_from([b"node", b"boot", b"instances", b"protocol", b"version"]) | st.binary(),
        st.none() | st.binary() | st.just(ADVERT.node.encode()),
    ),
)
def test_whatever_is_forged_is_read_or_ignored(
    name: str, port: int | None, addresses: list[str], properties: dict[bytes, bytes | None]
) -> None:
    for found in (properties, {**RECORD.properties, **properties}):
        advert = read_service(ServiceRecord(name, port, tuple(addresses), found), THIS, LAN)
        if advert is not None:
            assert 0 < len(advert.endpoints) <= 8
            assert 1 <= advert.instances <= 16
            assert all(may_be_dialled(endpoint.host, LAN) for endpoint in advert.endpoints)


@pytest.mark.parametrize(
    ("host", "lan", "loopback"),
    [
        ("10.77.0.9", True, False),
        ("192.168.9.9", False, False),
        ("100.64.0.9", False, False),
        ("169.254.3.4", False, False),
        ("fd12::9", False, False),
        ("fd00::9", True, False),
        ("fe80::9%2", True, False),
        ("127.0.0.1", False, True),
        ("::1", False, True),
        ("::ffff:127.0.0.1", False, True),
        ("fe80::9", False, False),
        ("10.77.0.0", False, False),
        ("10.77.0.255", False, False),
        ("255.255.255.255", False, False),
        ("224.0.0.251", False, False),
        ("ff02::fb", False, False),
        ("0.0.0.0", False, False),
        ("::", False, False),
        ("169.254.169.254", False, False),
        ("::ffff:169.254.169.254", False, False),
        ("fd00:ec2::254", False, False),
        ("8.8.8.8", False, False),
        ("2606:4700::1", False, False),
        ("localhost", False, False),
        ("", False, False),
    ],
)
def test_where_a_stranger_may_make_us_connect(host: str, lan: bool, loopback: bool) -> None:
    assert (may_be_dialled(host, LAN), may_be_dialled(host, LOOPBACK)) == (lan, loopback)


def test_a_public_address_of_our_own_network_is_a_neighbour() -> None:
    assert may_be_dialled("8.8.8.8", (ip_network("8.8.8.0/24"),))
    assert not may_be_dialled("8.8.8.255", (ip_network("8.8.8.0/24"),))
