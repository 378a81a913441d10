"""What our mDNS question brought: verdicts on made-up facts, and packets read and written."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zeroconf import ServiceInfo
from zeroconf._protocol.outgoing import DNSOutgoing
from zeroconf.const import _FLAGS_AA, _FLAGS_QR_RESPONSE

from swarm.doctor.known import Known
from swarm.doctor.mdns_packet import Dialect, RawService, adverts_in, question
from swarm.doctor.multicast import MulticastFacts
from swarm.doctor.multicast_verdict import judge_multicast, judge_neighbours
from swarm.doctor.replies import Answered, Silent
from swarm.doctor.system import System
from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Advert, Endpoint
from tests.fakes.api_node import READY

LINUX, MAC, WSL = System("linux", "ufw"), System("macos"), System("wsl", "iptables", "nat")
HOST = "192.168.1.5"
HEARD = MulticastFacts(HOST, heard_itself=True)
OTHER = Advert(NodeId("other"), BootId("b1"), (Endpoint("192.168.1.6", 17615),))
SERVICE_TYPE = "_local-swarm._tcp.local."


def test_what_goes_out_and_comes_back_is_fine() -> None:
    assert judge_multicast(HEARD, LINUX, "eth0").verdict == "ok"


@pytest.mark.parametrize(
    ("facts", "system", "cause", "fix"),
    [
        (MulticastFacts(HOST, send_error=errno.EPERM), LINUX, "on its way out", "sudo ufw allow out 5353/udp"),
        (MulticastFacts(HOST), LINUX, "on its way in", "sudo ufw allow 5353/udp"),
        (MulticastFacts(HOST, send_error=errno.ENETUNREACH), LINUX, "routing table", "224.0.0.0/4 dev eth0"),
        (MulticastFacts("fd00::1", send_error=errno.EACCES), LINUX, "routing table", "ff00::/8 dev eth0"),
        (MulticastFacts(HOST, send_error=errno.EHOSTUNREACH), MAC, "macOS", "Local Network"),
        (MulticastFacts(HOST), MAC, "macOS", "Local Network"),
        (MulticastFacts(HOST, open_error=errno.ENODEV), LINUX, "takes no multicast", "multicast on"),
        (MulticastFacts(HOST, open_error=errno.ENOBUFS), LINUX, "no further multicast group", "igmp_max_memberships"),
        (MulticastFacts(HOST, open_error=errno.EADDRINUSE), LINUX, "another program", "ss -lunp"),
    ],
)
def test_a_fault_of_multicast_is_named_with_its_fix(
    facts: MulticastFacts, system: System, cause: str, fix: str
) -> None:
    finding = judge_multicast(facts, system, "eth0")
    assert finding.verdict == "problem"
    assert cause in finding.cause
    assert fix in finding.fix
    assert "--peer" in finding.fix


def test_mdns_that_is_switched_off_is_said() -> None:
    assert judge_multicast(None, LINUX, "eth0").verdict == "note"
    assert judge_neighbours(None, (), LINUX, "me").verdict == "note"


def test_where_multicast_does_not_work_here_the_others_are_not_blamed() -> None:
    assert judge_neighbours(MulticastFacts(HOST), (known(SILENT),), LINUX, "me").verdict == "note"


def known(reply: Answered | Silent, is_configured: bool = True) -> Known:
    return Known((Endpoint("192.168.1.6", 17615),), is_configured=is_configured, replies=(reply,))


ANSWERED, SILENT = Answered(READY, 0.01), Silent("no answer")


def test_a_node_that_answers_is_enough() -> None:
    facts = MulticastFacts(HOST, heard_itself=True, adverts=(OTHER,))
    assert judge_neighbours(facts, (), LINUX, "me").verdict == "ok"


@pytest.mark.parametrize(
    ("peers", "verdict"),
    [
        ((), "note"),
        ((known(ANSWERED),), "note"),
        ((known(ANSWERED, is_configured=False),), "problem"),
        ((known(SILENT),), "problem"),
    ],
)
def test_silence_is_a_problem_only_where_somebody_is_missing(peers: tuple[Known, ...], verdict: str) -> None:
    finding = judge_neighbours(HEARD, peers, LINUX, "me")
    assert finding.verdict == verdict
    assert ("AP isolation" in finding.cause) is bool(peers)
    assert "--peer" in finding.fix


def test_our_own_daemon_alone_is_nobody_else() -> None:
    facts = MulticastFacts(HOST, heard_itself=True, adverts=(OTHER,))
    assert judge_neighbours(facts, (), LINUX, OTHER.node).verdict == "note"


def test_other_devices_that_answer_are_evidence_that_multicast_works() -> None:
    facts = MulticastFacts(HOST, heard_itself=True, machines=("192.168.1.77",))
    assert "192.168.1.77" in judge_neighbours(facts, (), LINUX, "me").evidence


def test_behind_the_nat_of_wsl_the_cause_is_known() -> None:
    finding = judge_neighbours(HEARD, (), WSL, "me")
    assert finding.verdict == "problem"
    assert "networkingMode=mirrored" in finding.fix


def taken(service: RawService) -> Advert:
    endpoints = tuple(Endpoint(host, service.port) for host in service.addresses)
    return Advert(NodeId(service.name.split(".")[0]), BootId(str(service.properties.get(b"boot"))), endpoints)


DIALECT = Dialect(SERVICE_TYPE, taken)


def test_an_announcement_is_read() -> None:
    info = ServiceInfo(
        SERVICE_TYPE,
        f"nodeid.{SERVICE_TYPE}",
        port=17615,
        parsed_addresses=["10.0.0.2", "fe80::1"],
        properties={"boot": "b7"},
        server="nodeid.local.",
    )
    out = DNSOutgoing(_FLAGS_QR_RESPONSE | _FLAGS_AA)
    for record in (info.dns_pointer(), info.dns_service(), info.dns_text(), *info.dns_addresses()):
        out.add_answer_at_time(record, 0)
    (advert,) = adverts_in(out.packets()[0], DIALECT, scope_id=3)
    assert advert.boot == "b'b7'"
    assert set(advert.endpoints) == {Endpoint("10.0.0.2", 17615), Endpoint("fe80::1%3", 17615)}


def test_our_own_question_is_no_announcement() -> None:
    assert adverts_in(question(SERVICE_TYPE), DIALECT) == ()


@given(st.binary(max_size=300))
def test_whatever_the_bytes_nothing_is_raised(packet: bytes) -> None:
    adverts_in(packet, DIALECT)
