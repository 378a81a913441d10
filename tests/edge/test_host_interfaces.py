"""The interfaces of the machine that the tests run on."""

from __future__ import annotations

import socket

from swarm.host.addresses import LOCALHOST, address_kind, lan_address, read_interfaces


def test_the_chosen_address_can_be_listened_on() -> None:
    choice = lan_address()
    family, *_, address = socket.getaddrinfo(choice.host, 0, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0]
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.bind(address)
    assert choice.why


def test_only_private_addresses_are_read() -> None:
    for interface in read_interfaces():
        assert all(address_kind(address) for address in interface.addresses)
        assert LOCALHOST not in interface.addresses


def test_link_local_addresses_carry_their_zone() -> None:
    for interface in read_interfaces():
        assert all("%" in address for address in interface.addresses if address.startswith("fe80"))
