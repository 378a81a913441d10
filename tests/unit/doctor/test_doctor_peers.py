"""Each known peer, ids and views: verdicts on made-up replies; the report."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from swarm.doctor.asking import clock_difference
from swarm.doctor.finding import Finding, note, ok, problem
from swarm.doctor.known import MOST_KNOWN, Known, gather_known
from swarm.doctor.peers import is_skewed, judge_peers
from swarm.doctor.replies import Answered, Refused, Reply, Silent, Strange, Unresolved
from swarm.doctor.report import as_json, as_text, exit_code
from swarm.doctor.system import System
from swarm.doctor.views import Self, answering, judge_ids, judge_seen, judge_table
from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Advert, Endpoint
from swarm.wire.federation_messages import PeersReply
from tests.fakes.api_node import READY, peer

LINUX = System("linux", "ufw")
THERE, ELSEWHERE = Endpoint("192.168.1.6", 17615), Endpoint("192.168.1.7", 17615)
ADVERT = Advert(READY.node, READY.boot, (THERE,), "0.9.0", 2)
ANSWER = Answered(READY, 0.004, (-0.5, 0.5))


def one(*replies: Reply, **facts: object) -> Known:
    return replace(Known((THERE, ELSEWHERE)[: len(replies)], replies=replies), **facts)  # type: ignore[arg-type]


def judged(*known: Known) -> list[Finding]:
    return list(judge_peers(known, READY.version, READY.protocol, LINUX))


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Refused(), "refuses connections"),
        (Silent("no answer"), "is silent over TCP"),
        (Strange("HTML"), "not as a node"),
        (Unresolved(), "has no address"),
    ],
)
def test_a_peer_that_does_not_answer_is_a_problem_with_its_own_cause(reply: Reply, words: str) -> None:
    (finding,) = judged(one(reply, advert=ADVERT))
    assert finding.verdict == "problem"
    assert words in finding.cause
    assert "announced on mDNS" in finding.evidence
    assert finding.fix


def test_one_address_that_answers_is_enough() -> None:
    assert judged(one(Silent("no answer"), ANSWER))[0].verdict == "ok"


def test_what_is_not_understood_says_the_version_that_was_announced() -> None:
    assert "version 0.9.0, protocol 2" in judged(one(Strange("nonsense"), advert=ADVERT))[0].evidence


@pytest.mark.parametrize(("protocol", "where"), [(2, "on this machine"), (0, "on attic")])
def test_another_protocol_is_a_problem_of_the_older_one(protocol: int, where: str) -> None:
    status = replace(READY, protocol=protocol)
    finding = next(found for found in judged(one(Answered(status, 0.01))) if found.check == "version")
    assert finding.verdict == "problem"
    assert finding.fix.startswith(where)


def test_another_version_of_the_same_protocol_is_a_note() -> None:
    found = judged(one(Answered(replace(READY, version="0.2.0"), 0.01)))
    assert [finding.verdict for finding in found if finding.check == "version"] == ["note"]


@pytest.mark.parametrize(
    ("bounds", "skewed"), [((2.5, 3.6), False), ((3.1, 4.2), True), ((-4.2, -3.1), True), ((-3.5, -2.5), False)]
)
def test_a_clock_is_off_only_beyond_doubt(bounds: tuple[float, float], skewed: bool) -> None:
    assert is_skewed(bounds) is skewed


def clock_of(*bounds: tuple[float, float] | None) -> list[Finding]:
    known = [one(Answered(READY, 0.01, bound)) for bound in bounds]
    return [finding for finding in judged(*known) if finding.check == "clock"]


def test_clocks_are_compared() -> None:
    assert [finding.verdict for finding in clock_of((-0.5, 0.5))] == ["ok"]
    assert clock_of(None) == []
    (finding,) = clock_of((59.5, 60.5), (-0.5, 0.5))
    assert "60 s ahead" in finding.evidence
    assert finding.fix.startswith("on the machine whose clock is wrong")


def test_where_all_differ_the_same_way_it_is_ours() -> None:
    assert all(finding.fix.startswith("this machine's clock") for finding in clock_of((59.5, 60.5), (59, 60)))


def test_the_date_of_a_reply_is_cut_to_whole_seconds() -> None:
    assert clock_difference("Thu, 01 Jan 1970 00:00:10 GMT", 9.0, 9.5) == (0.5, 2.0)
    assert clock_difference("nonsense", 1, 2) is None


# -- who is known -----------------------------------------------------------------------------------------------------


def test_a_peer_that_is_known_in_three_ways_is_one() -> None:
    row = peer("attic", READY.node, endpoint=THERE)
    (found,) = gather_known([THERE], [ADVERT], [row], None)
    assert (found.is_configured, found.is_announced, found.listed) == (True, True, row)


def test_the_running_daemon_is_nobodys_peer_but_a_second_run_under_its_id_is() -> None:
    own = (READY.node, READY.boot)
    second = replace(ADVERT, boot=BootId("boot-9"), endpoints=(ELSEWHERE,))
    assert [known.endpoints for known in gather_known((), [ADVERT, second], (), own)] == [(ELSEWHERE,)]


def test_a_flood_is_bounded() -> None:
    flood = [replace(ADVERT, node=NodeId(str(n)), endpoints=(Endpoint("10.0.0.1", n),)) for n in range(1, 500)]
    assert len(gather_known((), flood, (), None)) == MOST_KNOWN


# -- who sees whom ----------------------------------------------------------------------------------------------------

SECOND = Answered(replace(READY, boot=BootId("boot-9"), name="cellar"), 0.01)
STRANGER = Self(NodeId("me"), BootId("b"), may_run=True)


def test_two_runs_under_one_id_are_a_problem() -> None:
    finding = judge_ids(STRANGER, [one(ANSWER), one(SECOND)])
    assert finding.verdict == "problem"
    assert "cellar" in finding.evidence
    assert "identity.pem" in finding.fix


def test_one_run_at_two_addresses_is_fine() -> None:
    assert judge_ids(STRANGER, [one(ANSWER, ANSWER)]).verdict == "ok"


@pytest.mark.parametrize(
    ("this", "verdict"),
    [
        (Self(READY.node, BootId("mine"), may_run=True), "problem"),
        (Self(READY.node, READY.boot, may_run=True), "ok"),
        (Self(READY.node, None, may_run=False), "problem"),
        (Self(READY.node, None, may_run=True), "ok"),
        (Self(None, None, may_run=False), "ok"),
    ],
)
def test_somebody_with_our_own_id(this: Self, verdict: str) -> None:
    assert judge_ids(this, [one(ANSWER)]).verdict == verdict


ME = replace(READY, node=NodeId("me"), name="me")


def test_the_daemons_table_is_compared_with_who_answers() -> None:
    complete = PeersReply(ME, (peer("attic", READY.node),))
    assert [finding.verdict for finding in judge_table(complete, [one(ANSWER)])] == ["ok"]
    (finding,) = judge_table(PeersReply(ME, ()), [one(ANSWER)])
    assert finding.verdict == "note"
    assert str(THERE) in finding.fix
    assert list(judge_table(None, [one(ANSWER)])) == []


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ((peer("me", "me"),), "ok"),
        ((peer("me", "me", standing="suspect", problem="It does not answer."),), "problem"),
        ((), "note"),
    ],
)
def test_peers_that_do_not_reach_us_point_at_our_own_firewall(rows: tuple, verdict: str) -> None:
    (finding,) = judge_seen(STRANGER, ELSEWHERE, {THERE: PeersReply(READY, rows)}, LINUX)
    assert finding.verdict == verdict
    assert ("ufw allow 17615/tcp" in finding.fix) is (verdict != "ok")


def test_it_is_asked_only_of_those_that_answer_and_only_for_a_running_daemon() -> None:
    assert answering([one(Silent("no"), ANSWER), one(Refused())]) == (ELSEWHERE,)
    assert list(judge_seen(Self(NodeId("me"), None, False), None, {}, LINUX)) == []


# -- the report -------------------------------------------------------------------------------------------------------

FINDINGS = (ok("peer", "fine"), note("clock", "odd", fix="wait"), problem("address", "bad", "this", "do a\ndo b"))


def test_the_report_has_a_line_a_check_and_every_step_of_the_fix() -> None:
    lines = as_text(FINDINGS).splitlines()
    assert [line.split()[0] for line in lines if not line.startswith(" ") and line] == ["ok", "note", "problem", "3"]
    assert [line.strip() for line in lines if "fix:" in line] == ["fix:  wait", "fix:  do a", "fix:  do b"]
    assert "1 problem found" in lines[-1]


def test_the_exit_code_tells_of_problems_alone() -> None:
    assert (exit_code(FINDINGS), exit_code(FINDINGS[:2])) == (1, 0)


def test_programs_get_the_same() -> None:
    assert [found["verdict"] for found in json.loads(as_json(FINDINGS))["findings"]] == ["ok", "note", "problem"]
