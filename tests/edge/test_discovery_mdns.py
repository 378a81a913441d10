"""SwarmDiscovery on the loopback interface, with real multicast."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import struct
from collections.abc import Callable
from dataclasses import replace

import pytest

from swarm.discovery.service import SwarmDiscovery, create_discovery_service
from swarm.discovery.service_record import SERVICE_TYPE
from swarm.discovery.settings import DiscoverySettings
from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Advert, Endpoint

HOST, GROUP = "127.0.0.1", ("224.0.0.251", 5353)
QUICK = DiscoverySettings(ask_every_s=0.3)
SOON_S = 30.0


def loopback_takes_multicast() -> bool:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth,
    ):
        try:
            ear.bind(("", 0))
            ear.setsockopt(
                socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP[0]) + socket.inet_aton(HOST)
            )
            mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(HOST))
            mouth.sendto(b"?", (GROUP[0], ear.getsockname()[1]))
            ear.settimeout(1)
            return ear.recv(10) == b"?"
        except OSError:
            return False


pytestmark = pytest.mark.skipif(not loopback_takes_multicast(), reason="the loopback interface takes no multicast")


class Node:
    """A node on mDNS, and what it heard. Ids are random: other daemons may be on this machine's loopback too."""

    def __init__(self, port: int, settings: DiscoverySettings = QUICK, node: NodeId | None = None) -> None:
        node = node or NodeId(secrets.token_hex(8))
        self.advert = Advert(node, BootId(secrets.token_hex(8)), (Endpoint(HOST, port),), version="0.1.0", protocol=1)
        self.heard: list[Advert] = []
        self.lost: list[NodeId] = []
        self.discovery = SwarmDiscovery(self.advert, HOST, settings, self.heard.append, self.lost.append)

    async def until_heard(self, advert: Advert) -> None:
        await until(lambda: advert in self.heard)

    async def until_lost(self, node: NodeId) -> None:
        await until(lambda: node in self.lost)


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON_S):
        while not fact():
            await asyncio.sleep(0.01)


async def test_two_nodes_of_one_machine_find_each_other_and_say_goodbye() -> None:
    one, two = Node(20001), Node(20002)
    async with one.discovery:
        async with two.discovery:
            await one.until_heard(two.advert)
            await two.until_heard(one.advert)
        await one.until_lost(two.advert.node)
        assert one.advert.node not in {advert.node for advert in one.heard}
    assert two.advert.node not in two.lost


async def test_a_change_is_announced() -> None:
    one, two = Node(20001), Node(20002)
    async with one.discovery, two.discovery:
        await one.until_heard(two.advert)
        changed = replace(two.advert, model_id="org/model")
        await two.discovery.update(changed)
        await one.until_heard(changed)


async def test_a_restarted_node_is_heard_with_its_new_boot_at_once() -> None:
    one, before = Node(20001), Node(20002)
    async with one.discovery:
        async with before.discovery:
            await one.until_heard(before.advert)
            after = Node(20003, node=before.advert.node)
            async with after.discovery:
                await one.until_heard(after.advert)
                one.heard.clear()
                await one.until_heard(after.advert)
        assert before.advert not in one.heard


async def test_a_node_is_heard_again_and_again_while_it_is_there() -> None:
    one, two = Node(20001), Node(20002)
    async with one.discovery, two.discovery:
        await one.until_heard(two.advert)
        for _ in range(2):
            one.heard.clear()
            await one.until_heard(two.advert)


async def test_forged_records_are_ignored_and_goodbyes_passed_on_as_hints() -> None:
    one, two = Node(20001), Node(20002)
    async with one.discovery, two.discovery:
        await one.until_heard(two.advert)
        forge(record(type_name(), 12, label("<img src=x onerror=alert(1)>") + type_name(), 4500))
        forge(record(label("x" * 20) + type_name(), 33, struct.pack(">HHH", 0, 0, 22) + b"\0", 120))
        forge(b"\xc0\x0c" * 20)
        forge(record(type_name(), 12, label(two.advert.node) + type_name(), 0))
        await one.until_lost(two.advert.node)
        one.heard.clear()
        await one.until_heard(two.advert)
        assert {advert.boot for advert in one.heard if advert.node == two.advert.node} == {two.advert.boot}


async def test_an_address_that_is_not_ours_is_a_warning_and_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    advert = Advert(NodeId("a" * 16), BootId("1"), (Endpoint("10.255.255.1", 20001),))
    async with create_discovery_service(advert, QUICK, print, print) as discovery:
        assert not discovery.is_open
        await discovery.update(advert)
    (warning,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "--peer HOST:PORT" in warning.message


async def test_multicast_can_be_turned_off(caplog: pytest.LogCaptureFixture) -> None:
    node = Node(20001, DiscoverySettings(mdns=False))
    async with node.discovery as discovery:
        assert not discovery.is_open
    assert not caplog.records


def label(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def type_name() -> bytes:
    return b"".join(label(part) for part in SERVICE_TYPE.rstrip(".").split(".")) + b"\0"


def record(name: bytes, kind: int, data: bytes, ttl_s: int) -> bytes:
    header = struct.pack(">HHHHHH", 0, 0x8400, 0, 1, 0, 0)
    return header + name + struct.pack(">HHIH", kind, 1, ttl_s, len(data)) + data


def forge(packet: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
        mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(HOST))
        mouth.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        mouth.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        mouth.bind((HOST, 5353))
        mouth.sendto(packet, GROUP)
