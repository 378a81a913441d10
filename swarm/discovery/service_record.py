"""An advert as an mDNS service, and back. Pure; what comes in is anybody's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network

from swarm.domain.addresses import LOWEST_PORT, Address, is_one_machine, parse_address
from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Advert, Endpoint
from swarm.membership.strangers import ID_LIMIT, MOST_INSTANCES, clean_text, is_node_id

SERVICE_TYPE = "_local-swarm._tcp.local."
VALUE_LIMIT_BYTES = 255
"""Of a `key=value` string in a TXT record, which has a length of one byte (RFC 6763, section 6.1)."""
MOST_ADDRESSES = 8

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """What mDNS knows of one service instance."""

    name: str
    port: int | None
    addresses: tuple[str, ...]
    """IPv6 link-local ones with their zone."""
    properties: Mapping[bytes, bytes | None]


def instance_name(node: NodeId) -> str:
    """The node id alone, so that the records of a restarted node replace its old ones in every cache at once."""
    return f"{node}.{SERVICE_TYPE}"


def node_of_instance(name: str) -> NodeId | None:
    """None for instances whose name is not a node's id."""
    label = name.removesuffix(f".{SERVICE_TYPE}")
    return NodeId(label) if label != name and is_node_id(label) else None


def txt_properties(advert: Advert) -> dict[str, bytes]:
    texts = {
        "version": advert.version,
        "protocol": str(advert.protocol),
        "node": advert.node,
        "boot": advert.boot,
        "instances": str(advert.instances),
        "model_id": advert.model_id,
        "hardware_summary": advert.hardware_summary,
    }
    return {key: _cut(text, VALUE_LIMIT_BYTES - len(key) - 1) for key, text in texts.items()}


def read_service(record: ServiceRecord, this: NodeId, networks: Iterable[Network]) -> Advert | None:
    """None for anything but a well-formed announcement of another node. Never raises.

    `networks` are those of the interfaces that we listen on; addresses outside are dropped.
    """
    node = node_of_instance(record.name)
    if node is None or node == this or _text(record, b"node") != node:
        return None
    boot, port = _text(record, b"boot"), record.port
    if not 0 < len(boot) <= ID_LIMIT or port is None or not LOWEST_PORT <= port <= 65535:
        return None
    networks = tuple(networks)
    hosts = [host for host in dict.fromkeys(record.addresses) if may_be_dialled(host, networks)]
    if not hosts:
        return None
    return Advert(
        node=node,
        boot=BootId(boot),
        endpoints=tuple(Endpoint(host, port) for host in hosts[:MOST_ADDRESSES]),
        version=_text(record, b"version"),
        protocol=_number(record, b"protocol", 0),
        instances=min(max(_number(record, b"instances", 1), 1), MOST_INSTANCES),
        model_id=_text(record, b"model_id"),
        hardware_summary=_text(record, b"hardware_summary"),
    )


def may_be_dialled(host: str, networks: Iterable[Network]) -> bool:
    """May a stranger make us connect there? Only to one machine of our own networks, which are all that mDNS spans."""
    address = parse_address(host)
    if address is None:
        return False
    networks = tuple(networks)
    on_loopback = any(network.is_loopback for network in networks)
    if address.is_loopback or on_loopback:
        return address.is_loopback and on_loopback
    if not is_one_machine(address):
        return False
    if isinstance(address, IPv6Address) and address.is_link_local and address.scope_id is None:
        return False
    ours = [network for network in networks if address in network]
    return bool(ours) and not any(_is_for_all(address, network) for network in ours)


def _is_for_all(address: Address, network: Network) -> bool:
    """The network's own address or its broadcast address."""
    return (
        network.version == 4
        and network.prefixlen < 31
        and address in (network.network_address, network.broadcast_address)
    )


def _cut(text: str, limit_bytes: int) -> bytes:
    """Never in the middle of a character."""
    return text.encode("utf-8", "replace")[:limit_bytes].decode("utf-8", "ignore").encode()


def _text(record: ServiceRecord, key: bytes) -> str:
    value = record.properties.get(key) or b""
    return clean_text(value.decode("utf-8", "replace"), VALUE_LIMIT_BYTES)


def _number(record: ServiceRecord, key: bytes, default: int) -> int:
    text = _text(record, key)
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 6 else default
