"""Which address, which interface, which family: verdicts on made-up machines."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from swarm.doctor.addresses import InterfaceKind, LocalAddress, judge_addresses
from swarm.doctor.finding import Finding
from swarm.domain.nodes import Endpoint


def address(host: str, interface: str, kind: InterfaceKind = "network", network: str = "192.0.2.0/24") -> LocalAddress:
    return LocalAddress(host, interface, kind, (ip_network(network),))


WIFI = address("192.168.1.5", "wlan0", network="192.168.1.0/24")
CABLE = address("10.0.0.5", "eth0", network="10.0.0.0/24")
DOCKER = address("172.17.0.1", "docker0", "bridge", "172.17.0.0/16")
VPN = address("100.64.0.9", "tailscale0", "tunnel", "100.64.0.0/10")
LINK_LOCAL = address("fe80::1%eth1", "eth1", network="fe80::/64")
ULA = address("fd00::5", "eth0", network="fd00::/64")


def judged(chosen: str, *addresses: LocalAddress, peers: tuple[Endpoint, ...] = ()) -> dict[str, Finding]:
    return {finding.check: finding for finding in judge_addresses(chosen, addresses, peers, 17615)}


def test_one_private_address_is_fine() -> None:
    findings = judged("192.168.1.5", WIFI)
    assert {finding.verdict for finding in findings.values()} == {"ok"}
    assert list(findings) == ["address", "interface", "address family"]


def test_no_private_address_is_a_problem() -> None:
    findings = judged("127.0.0.1")
    assert findings["address"].verdict == "problem"
    assert "no private address" in findings["address"].cause


@pytest.mark.parametrize("wrong", [DOCKER, VPN])
def test_a_bridge_or_tunnel_where_a_network_is_there_is_a_problem(wrong: LocalAddress) -> None:
    finding = judged(wrong.host, wrong, WIFI)["interface"]
    assert finding.verdict == "problem"
    assert finding.fix == "--host 192.168.1.5"


def test_a_tunnel_is_fine_where_the_network_has_only_a_link_local_address() -> None:
    assert judged(VPN.host, VPN, LINK_LOCAL)["interface"].verdict == "ok"


def test_several_networks_are_listed() -> None:
    finding = judged("192.168.1.5", WIFI, CABLE, DOCKER)["interface"]
    assert finding.verdict == "note"
    assert "10.0.0.5 of eth0" in finding.evidence
    assert "10.0.0.5" in finding.fix


def test_a_peer_on_the_other_network_makes_it_the_wrong_one() -> None:
    finding = judged("192.168.1.5", WIFI, CABLE, peers=(Endpoint("10.0.0.7", 17615),))["interface"]
    assert finding.verdict == "problem"
    assert "10.0.0.7:17615" in finding.cause
    assert finding.fix == "--host 10.0.0.5"


@pytest.mark.parametrize("host", ["192.168.1.9", "nas.local", "fe80::2", "203.0.113.4"])
def test_a_peer_elsewhere_or_on_our_own_network_does_not(host: str) -> None:
    assert judged("192.168.1.5", WIFI, DOCKER, LINK_LOCAL, peers=(Endpoint(host, 1),))["interface"].verdict == "ok"


def test_localhost_where_there_is_a_network_is_said() -> None:
    finding = judged("127.0.0.1", WIFI)["address"]
    assert finding.verdict == "note"
    assert "--host 192.168.1.5" in finding.fix


def test_an_address_that_this_machine_has_not_is_a_problem() -> None:
    finding = judged("192.168.1.99", WIFI)["address"]
    assert finding.verdict == "problem"
    assert "192.168.1.99" in finding.cause


@pytest.mark.parametrize(("addresses", "words"), [((ULA,), "no private IPv4"), ((ULA, WIFI), "was asked for")])
def test_ipv6_alone_is_said(addresses: tuple[LocalAddress, ...], words: str) -> None:
    finding = judged("fd00::5", *addresses)["address family"]
    assert finding.verdict == "note"
    assert words in finding.evidence
