"""mDNS packets: our question, and the adverts in what comes back (zeroconf's codec). Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from zeroconf._dns import DNSAddress, DNSQuestion, DNSRecord, DNSService, DNSText
from zeroconf._protocol.incoming import DNSIncoming
from zeroconf._protocol.outgoing import DNSOutgoing
from zeroconf.const import _CLASS_IN, _FLAGS_QR_QUERY, _TYPE_PTR

from swarm.domain.nodes import Advert

EVERY_SERVICE = "_services._dns-sd._udp.local."
"""RFC 6763, section 9: whoever speaks mDNS answers it, so that a silent network can be told from one without nodes."""


@dataclass(frozen=True, slots=True)
class RawService:
    name: str
    port: int
    addresses: tuple[str, ...]
    properties: Mapping[bytes, bytes | None]


@dataclass(frozen=True, slots=True)
class Dialect:
    """What discovery says over mDNS, handed in, as edges do not know each other."""

    service_type: str
    read_service: Callable[[RawService], Advert | None]
    """None for what is no node's announcement. Never raises."""


def question(service_type: str) -> bytes:
    """For two types at once, which no other program asks: our own packet is known when it comes back."""
    out = DNSOutgoing(_FLAGS_QR_QUERY)
    for name in (service_type, EVERY_SERVICE):
        out.add_question(DNSQuestion(name, _TYPE_PTR, _CLASS_IN))
    return out.packets()[0]


def adverts_in(packet: bytes, dialect: Dialect, scope_id: int | None = None) -> tuple[Advert, ...]:
    """Never raises, whatever the bytes."""
    incoming = DNSIncoming(packet, scope_id=scope_id)
    if not incoming.valid or incoming.is_query():
        return ()
    found = (dialect.read_service(service) for service in _services(incoming.answers(), dialect.service_type))
    return tuple(advert for advert in found if advert is not None)


def _services(records: list[DNSRecord], service_type: str) -> Iterator[RawService]:
    texts = {record.name: record.text for record in records if isinstance(record, DNSText)}
    for record in records:
        if isinstance(record, DNSService) and record.name.endswith(f".{service_type}") and record.ttl:
            addresses = (other for other in records if isinstance(other, DNSAddress) and other.name == record.server)
            hosts = tuple(dict.fromkeys(map(_host, addresses)))
            yield RawService(record.name, record.port, hosts, _properties(texts.get(record.name, b"")))


def _host(record: DNSAddress) -> str:
    address = ip_address(record.address)
    is_link_local = address.version == 6 and address.is_link_local
    return f"{address}%{record.scope_id}" if is_link_local and record.scope_id else str(address)


def _properties(text: bytes) -> dict[bytes, bytes | None]:
    """A TXT record is a row of strings, each with its length in one byte before it (RFC 6763, section 6.1)."""
    properties: dict[bytes, bytes | None] = {}
    place = 0
    while place < len(text):
        length = text[place]
        key, equals, value = text[place + 1 : place + 1 + length].partition(b"=")
        properties.setdefault(key, value if equals else None)
        place += 1 + length
    return properties
