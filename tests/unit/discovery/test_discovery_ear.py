"""What is read from a packet itself: it must not depend on what else zeroconf remembers."""

from __future__ import annotations

from typing import cast

from zeroconf import RecordUpdate, Zeroconf
from zeroconf._dns import DNSAddress, DNSPointer, DNSRecord, DNSService, DNSText

from swarm.discovery.ear import Ear
from swarm.discovery.service_record import SERVICE_TYPE, ServiceRecord

NAME = f"bbbbbbbbbbbbbbbb.{SERVICE_TYPE}"
NOW = 1000.0
POINTER = DNSPointer(SERVICE_TYPE, 12, 1, 4500, NAME, NOW)
SERVICE = DNSService(NAME, 33, 1, 120, 0, 0, 17615, "Host.local.", NOW)
TEXT = DNSText(NAME, 16, 1, 4500, b"\x06boot=1\x03k=v", NOW)
IPV4 = DNSAddress("host.local.", 1, 1, 120, bytes([10, 77, 0, 2]), None, NOW)
IPV6 = DNSAddress("host.local.", 28, 1, 120, b"\xfe\x80" + bytes(13) + b"\x01", 3, NOW)
WHOLE = ServiceRecord(NAME, 17615, ("10.77.0.2", "fe80::1%3"), {b"boot": b"1", b"k": b"v"})


def heard(*records: DNSRecord) -> tuple[list[tuple[str, ServiceRecord | None]], list[str]]:
    """What is told of one packet: who is there, and who said goodbye."""
    there: list[tuple[str, ServiceRecord | None]] = []
    lost: list[str] = []
    ear = Ear(lambda name, record: there.append((name, record)), lost.append)
    ear.async_update_records(cast(Zeroconf, None), NOW, [RecordUpdate(record) for record in records])
    ear.async_update_records_complete()
    return there, lost


def test_an_announcement_is_read_from_its_packet() -> None:
    assert heard(POINTER, SERVICE, TEXT, IPV4, IPV6) == ([(NAME, WHOLE)], [])
    assert heard(IPV4, IPV6, TEXT, SERVICE) == ([(NAME, WHOLE)], [])


def test_a_packet_that_holds_a_part_only_is_told_without_its_contents() -> None:
    assert heard(POINTER) == ([(NAME, None)], [])
    assert heard(POINTER, SERVICE, TEXT) == ([(NAME, None)], [])
    assert heard(IPV4) == ([], [])


def test_a_goodbye_is_told_and_what_has_expired_is_not_read() -> None:
    assert heard(DNSPointer(SERVICE_TYPE, 12, 1, 0, NAME, NOW)) == ([], [NAME])
    gone = DNSAddress("host.local.", 1, 1, 0, bytes([10, 77, 0, 9]), None, NOW)
    assert heard(POINTER, SERVICE, TEXT, gone) == ([(NAME, None)], [])


def test_the_records_of_other_services_are_nothing_to_us() -> None:
    assert heard(DNSPointer("_http._tcp.local.", 12, 1, 4500, "x._http._tcp.local.", NOW)) == ([], [])


def test_one_packet_leaves_nothing_behind_for_the_next() -> None:
    there: list[tuple[str, ServiceRecord | None]] = []
    ear = Ear(lambda name, record: there.append((name, record)), print)
    for records in ((SERVICE, TEXT, IPV4), (POINTER,)):
        ear.async_update_records(cast(Zeroconf, None), NOW, [RecordUpdate(record) for record in records])
        ear.async_update_records_complete()
    assert there[-1] == (NAME, None)
