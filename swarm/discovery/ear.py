"""What multicast brings, name by name. Unlike zeroconf's browser it also tells of what is announced again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address

from zeroconf import RecordUpdate, RecordUpdateListener, ServiceInfo, Zeroconf
from zeroconf._dns import DNSAddress, DNSPointer, DNSRecord, DNSService, DNSText

from swarm.discovery.service_record import SERVICE_TYPE, ServiceRecord


@dataclass(slots=True)
class Packet:
    """The records of one packet, by the lower-case name that owns them."""

    is_there: dict[str, bool] = field(default_factory=dict)
    """Instances of our service, as they are written; False for a goodbye."""
    services: dict[str, DNSService] = field(default_factory=dict)
    texts: dict[str, DNSText] = field(default_factory=dict)
    hosts: dict[str, list[str]] = field(default_factory=dict)

    def add(self, record: DNSRecord, *, is_expired: bool) -> None:
        owner = record.name.lower()
        if isinstance(record, DNSPointer):
            if owner == SERVICE_TYPE:
                self.is_there[record.alias] = not is_expired
            return
        if is_expired:
            return
        if isinstance(record, DNSService):
            self.services[owner] = record
        elif isinstance(record, DNSText):
            self.texts[owner] = record
        elif isinstance(record, DNSAddress):
            self.hosts.setdefault(owner, []).append(_host(record))
        if owner.endswith(f".{SERVICE_TYPE}"):
            self.is_there.setdefault(record.name, True)

    def read(self, name: str) -> ServiceRecord | None:
        """None where the packet does not hold all of an instance."""
        service, text = self.services.get(name.lower()), self.texts.get(name.lower())
        hosts = self.hosts.get(service.server.lower()) if service else None
        if service is None or text is None or not hosts:
            return None
        return ServiceRecord(
            name, service.port, tuple(hosts), ServiceInfo(SERVICE_TYPE, name, properties=text.text).properties
        )


class Ear(RecordUpdateListener):
    """Calls back once a packet for each instance of our service: `heard` for any record of it, `lost` for its goodbye.

    A record that was cached before is heard again, because a peer that we gave up may have been there all the time.
    What a packet says whole is read from the packet: zeroconf's cache holds 10,000 records and drops those that live
    shortest, which in a flood are always the honest ones.
    """

    def __init__(self, heard: Callable[[str, ServiceRecord | None], None], lost: Callable[[str], None]) -> None:
        self._heard, self._lost = heard, lost
        self._packet = Packet()

    def async_update_records(self, _zeroconf: Zeroconf, now: float, records: list[RecordUpdate]) -> None:
        for update in records:
            self._packet.add(update.new, is_expired=update.new.is_expired(now))

    def async_update_records_complete(self) -> None:
        """zeroconf's cache holds the new records by now."""
        packet, self._packet = self._packet, Packet()
        for name, is_there in packet.is_there.items():
            if is_there:
                self._heard(name, packet.read(name))
            else:
                self._lost(name)


def _host(record: DNSAddress) -> str:
    address = ip_address(record.address)
    return f"{address}%{record.scope_id}" if address.is_link_local and record.scope_id else str(address)
