"""Which address the others reach this machine by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.host.addresses import LOCALHOST, Interface, address_kind, choose_lan_address, interface_kind

LOOPBACK = Interface("lo", ("127.0.0.1", "::1"))
DOCKER = Interface("docker0", ("172.17.0.1", "fe80::1%docker0"))
TAILSCALE = Interface("tailscale0", ("100.100.1.2",))
WIRED = Interface("eth0", ("192.168.1.20", "fd00::20", "fe80::20%eth0"), has_default_route=True, is_hardware=True)


def chosen(*interfaces: Interface) -> str:
    return choose_lan_address(interfaces).host


def test_the_lan_is_chosen_among_what_a_workstation_has() -> None:
    choice = choose_lan_address([LOOPBACK, DOCKER, TAILSCALE, WIRED])
    assert (choice.host, choice.interface) == ("192.168.1.20", "eth0")


def test_the_choice_tells_why_and_what_was_passed_over() -> None:
    why = choose_lan_address([DOCKER, WIRED]).why
    assert why == "private IPv4 of eth0, which has the default route; rather than 172.17.0.1 of docker0"


@pytest.mark.parametrize("address", ["192.168.0.9", "10.255.0.1", "172.16.0.1", "172.31.255.254", "100.64.0.1"])
def test_every_private_range_will_do(address: str) -> None:
    assert chosen(LOOPBACK, Interface("eth0", (address,))) == address


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "172.32.0.1", "100.128.0.1", "192.0.2.2", "169.254.1.1", "0.0.0.0", "2001:db8::2"]
)
def test_public_addresses_are_never_chosen(address: str) -> None:
    assert chosen(LOOPBACK, Interface("eth0", (address,), has_default_route=True)) == LOCALHOST


def test_no_private_address_is_localhost_and_says_so() -> None:
    choice = choose_lan_address([LOOPBACK])
    assert choice.host == LOCALHOST
    assert "only this machine is served" in choice.why


def test_an_interface_that_is_down_is_not_there() -> None:
    assert chosen(LOOPBACK, Interface("eth0", ("192.168.1.20",), is_up=False)) == LOCALHOST


@pytest.mark.parametrize("name", ["eth0", "veth3f2a", "docker0", "tun0"])
def test_the_only_private_interface_is_chosen_whatever_its_name(name: str) -> None:
    assert chosen(LOOPBACK, Interface(name, ("10.77.0.3",))) == "10.77.0.3"
    assert chosen(LOOPBACK, Interface(name, ("10.77.0.3", f"fe80::3%{name}"))) == "10.77.0.3"


def test_the_default_route_decides_between_two_networks() -> None:
    other = Interface("aaa0", ("10.0.0.5",), is_hardware=True)
    assert chosen(other, WIRED) == "192.168.1.20"


def test_a_vpn_that_took_the_default_route_does_not_take_the_lan() -> None:
    vpn = Interface("tun0", ("10.8.0.2",), has_default_route=True)
    wired = Interface("enp3s0", ("192.168.1.20",), is_hardware=True)
    assert chosen(vpn, wired) == "192.168.1.20"


def test_hardware_decides_where_no_route_does() -> None:
    assert chosen(Interface("aaa0", ("10.0.0.1",)), Interface("eth0", ("10.1.0.1",), is_hardware=True)) == "10.1.0.1"


def test_ipv6_serves_where_there_is_no_private_ipv4() -> None:
    assert chosen(LOOPBACK, Interface("eth0", ("203.0.113.9", "fd00::2", "fe80::2%eth0"))) == "fd00::2"
    assert chosen(LOOPBACK, Interface("eth0", ("fe80::2%eth0",))) == "fe80::2%eth0"


def test_a_lan_by_ipv6_only_is_better_than_the_containers_bridge() -> None:
    assert chosen(DOCKER, Interface("eth0", ("fe80::2%eth0",))) == "fe80::2%eth0"


def test_the_order_of_interfaces_does_not_matter() -> None:
    one, two = Interface("eth0", ("10.0.0.1", "10.0.0.2")), Interface("eth1", ("10.0.0.3",))
    assert chosen(one, two) == chosen(two, one) == "10.0.0.1"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("eth0", "network"),
        ("br0", "network"),
        ("bridge0", "network"),
        ("br-1f2e", "bridge"),
        ("wlan0", "network"),
        ("utun3", "tunnel"),
    ],
)
def test_kinds_of_interfaces(name: str, kind: str) -> None:
    assert interface_kind(name) == kind


interfaces = st.builds(
    Interface,
    name=st.sampled_from(["eth0", "docker0", "tun0", "lo", "wlan0"]),
    addresses=st.lists(
        st.ip_addresses().map(str) | st.sampled_from(["10.0.0.1", "fe80::1%eth0", "x", ""]), max_size=3
    ).map(tuple),
    is_up=st.booleans(),
    has_default_route=st.booleans(),
)


@given(st.lists(interfaces, max_size=4))
def test_what_is_chosen_is_private_and_there(found: list[Interface]) -> None:
    host = chosen(*found)
    there = {address for interface in found if interface.is_up for address in interface.addresses}
    assert host == LOCALHOST or (host in there and address_kind(host) is not None)
