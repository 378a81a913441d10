"""Is there an address for the others, is it the right one, and of which family? Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Literal

from swarm.doctor.finding import Finding, note, ok, problem
from swarm.domain.nodes import Endpoint

Network = IPv4Network | IPv6Network
InterfaceKind = Literal["network", "tunnel", "bridge"]
IN_WORDS = {"network": "a network", "tunnel": "a tunnel (VPN)", "bridge": "a bridge for containers on this machine"}


@dataclass(frozen=True, slots=True)
class LocalAddress:
    """A private address of an interface that is up."""

    host: str
    """With its zone where it needs one."""
    interface: str
    kind: InterfaceKind
    networks: tuple[Network, ...] = ()
    """Of the interface."""

    @property
    def is_on_a_network(self) -> bool:
        """A link-local address is on every interface, also where nobody is."""
        return self.kind == "network" and not ip_address(_bare(self.host)).is_link_local

    def __str__(self) -> str:
        return f"{self.host} of {self.interface}"


def judge_addresses(
    chosen: str, addresses: Sequence[LocalAddress], peers: Iterable[Endpoint], port: int
) -> Iterator[Finding]:
    """`chosen` is what the API listens on, or would. `peers` are those known by configuration or to the daemon."""
    if not addresses:
        yield _no_private_address(chosen)
        return
    best = next((address for address in addresses if address.is_on_a_network), addresses[0])
    ours = next((address for address in addresses if _bare(address.host) == _bare(chosen)), None)
    if ours is not None:
        yield ok("address", f"{ours} is private")
        yield _interface(ours, best, addresses, peers)
    else:
        yield _not_in_the_list(chosen, best, port)
    yield _family(chosen, addresses)


def _no_private_address(chosen: str) -> Finding:
    return problem(
        "address",
        "this machine has no private address, so that only itself can reach it",
        f"no interface that is up has one; the API is on {chosen}",
        "join a network (cable or Wi-Fi), then: ip -brief address\nor listen on an address by hand: --host ADDRESS",
    )


def _not_in_the_list(chosen: str, best: LocalAddress, port: int) -> Finding:
    if ip_address(_bare(chosen)).is_loopback:
        return note(
            "address",
            "the API listens on localhost, so that only this machine can reach it",
            f"api.host is {chosen}",
            f"--host {best.host} --port {port}",
        )
    return problem(
        "address",
        f"{chosen} is not a private address of this machine: it is gone, public, or of an interface that is down",
        f"this machine has {best}",
        f"--host {best.host}, or no --host, to have it chosen; then start the daemon again",
    )


def _interface(
    ours: LocalAddress, best: LocalAddress, addresses: Sequence[LocalAddress], peers: Iterable[Endpoint]
) -> Finding:
    listed = ", ".join(map(str, addresses))
    if ours.kind != "network" and best.is_on_a_network:
        cause = f"{ours.interface} is {IN_WORDS[ours.kind]}: other machines of the network do not reach {ours.host}"
        return problem("interface", cause, f"this machine has {listed}", f"--host {best.host}")
    if (better := _beside_the_peers(ours, addresses, peers)) is not None:
        address, peer = better
        cause = f"the peer {peer} is on the network of {address.interface}, and the API on that of {ours.interface}"
        return problem("interface", cause, f"this machine has {listed}", f"--host {address.host}")
    others = [address for address in addresses if address.interface != ours.interface and address.is_on_a_network]
    if others:
        cause = f"{ours.interface} was chosen among several networks; machines of the others are not found"
        return note("interface", cause, f"this machine has {listed}", f"--host {others[0].host} for the other one")
    return ok("interface", f"{ours.interface} is {IN_WORDS[ours.kind]}", f"this machine has {listed}")


def _beside_the_peers(
    ours: LocalAddress, addresses: Iterable[LocalAddress], peers: Iterable[Endpoint]
) -> tuple[LocalAddress, Endpoint] | None:
    """Another interface that a peer is directly on, where ours is not."""
    for peer in peers:
        if _is_on(peer, ours):
            return None
        for address in addresses:
            if _is_on(peer, address) and address.interface != ours.interface:
                return address, peer
    return None


def _is_on(peer: Endpoint, address: LocalAddress) -> bool:
    try:
        parsed = ip_address(_bare(peer.host))
    except ValueError:  # A host name.
        return False
    # Every interface has fe80::/10, which says nothing.
    return not parsed.is_link_local and any(parsed in network for network in address.networks)


def _family(chosen: str, addresses: Iterable[LocalAddress]) -> Finding:
    versions = {ip_address(_bare(address.host)).version for address in addresses}
    if ip_address(_bare(chosen)).version == 4:
        return ok("address family", "IPv4, which every machine of a LAN speaks")
    only = "this machine has no private IPv4 address" if 4 not in versions else "an IPv6 address was asked for"
    return note(
        "address family",
        "IPv6: machines with IPv4 alone cannot reach this one",
        f"{only}; the API is on {chosen}",
        "give this machine an IPv4 address (DHCP), or use IPv6 on all of them",
    )


def _bare(host: str) -> str:
    return host.partition("%")[0]
