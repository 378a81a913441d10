"""System, remedies, folder, ports and chain: verdicts on made-up facts."""

from __future__ import annotations

import errno
from itertools import product
from pathlib import Path
from typing import get_args

import pytest

from swarm.doctor.chain import ChainFacts, judge_chain
from swarm.doctor.coverage import judge_coverage
from swarm.doctor.data_folder import FolderFacts, judge_folder
from swarm.doctor.ports import ApiPortFacts, OwnApiFacts, judge_api_port, judge_chain_port, judge_own_api
from swarm.doctor.remedies import let_in, let_out, set_clock
from swarm.doctor.replies import Answered, Refused, Reply, Silent, Strange
from swarm.doctor.system import Firewall, System, SystemKind, system_kind
from swarm.domain.coverage import coverage_of
from swarm.domain.nodes import BlockSpan, Endpoint
from tests.fakes.api_node import READY

LINUX = System("linux", "ufw")
HERE = Endpoint("192.168.1.5", 17615)
ANSWER = Answered(READY, 0.004)
FOLDER = Path("/data")


@pytest.mark.parametrize(
    ("platform", "version", "kind"),
    [
        ("darwin", "", "macos"),
        ("linux", "Linux version 6.6.87.2-microsoft-standard-WSL2", "wsl"),
        ("linux", "Linux version 4.4.0-19041-Microsoft", "wsl"),
        ("linux", "Linux version 6.1.0-18-amd64 (debian-kernel)", "linux"),
    ],
)
def test_the_system_is_told(platform: str, version: str, kind: SystemKind) -> None:
    assert system_kind(platform, version) == kind


@pytest.mark.parametrize(("mode", "behind"), [("nat", True), ("", True), ("mirrored", False)])
def test_wsl_is_behind_nat_unless_it_says_otherwise(mode: str, behind: bool) -> None:
    assert System("wsl", "nft", mode).is_behind_wsl_nat is behind
    assert not System("linux", "nft", mode).is_behind_wsl_nat


def test_every_system_and_firewall_has_a_remedy() -> None:
    for kind, firewall in product(get_args(SystemKind), get_args(Firewall)):
        system = System(kind, firewall)
        assert "17615" in let_in(system, "tcp", 17615) or kind == "macos"
        assert "5353" in let_out(system, "udp", 5353) or kind == "macos"
        assert set_clock(system)


def test_a_folder_that_is_free_or_used_by_a_daemon_that_answers_is_fine() -> None:
    assert judge_folder(FolderFacts(FOLDER), daemon_answers=False).verdict == "ok"
    used = judge_folder(FolderFacts(FOLDER, is_in_use=True, holder="42"), daemon_answers=True)
    assert used.verdict == "ok"
    assert "42" in used.cause


def test_a_folder_that_cannot_be_written_or_is_held_in_silence_is_a_problem() -> None:
    closed = judge_folder(FolderFacts(FOLDER, "Read-only file system"), daemon_answers=False)
    assert (closed.verdict, closed.evidence) == ("problem", "Read-only file system")
    held = judge_folder(FolderFacts(FOLDER, is_in_use=True, holder="42"), daemon_answers=False)
    assert held.verdict == "problem"
    assert "kill 42" in held.fix


@pytest.mark.parametrize(
    ("error", "occupant", "verdict", "words"),
    [
        (None, None, "ok", "is free"),
        (errno.EADDRINUSE, Strange("HTML"), "problem", "another program"),
        (errno.EADDRINUSE, Refused(), "problem", "another program"),
        (errno.EADDRINUSE, ANSWER, "note", "another Local Swarm"),
        (errno.EADDRNOTAVAIL, None, "problem", "not an address of this machine"),
        (errno.EACCES, None, "problem", "reserved"),
        (errno.ENETDOWN, None, "problem", "cannot listen"),
    ],
)
def test_the_api_port(error: int | None, occupant: Reply | None, verdict: str, words: str) -> None:
    finding = judge_api_port(ApiPortFacts(HERE, error, occupant, None))
    assert finding.verdict == verdict
    assert words in finding.cause
    assert bool(finding.fix) is (verdict != "ok")


def test_the_port_that_our_own_daemon_has_is_fine_and_the_one_that_it_wanted_is_not() -> None:
    assert judge_api_port(ApiPortFacts(HERE, errno.EADDRINUSE, ANSWER, HERE)).verdict == "ok"
    moved = judge_api_port(ApiPortFacts(HERE, errno.EADDRINUSE, Strange("HTML"), Endpoint(HERE.host, 17616)))
    assert moved.verdict == "problem"
    assert "17616" in moved.cause


@pytest.mark.parametrize(
    ("facts", "verdict", "words"),
    [
        (OwnApiFacts(HERE, ANSWER, None, True), "ok", "answers"),
        (OwnApiFacts(HERE, Silent("no answer"), ANSWER, True), "problem", "firewall on the input side"),
        (OwnApiFacts(HERE, Refused(), None, True), "problem", "does not answer"),
        (OwnApiFacts(None, None, None, True), "problem", "does not answer"),
        (OwnApiFacts(HERE, Refused(), None, False), "note", "no daemon runs"),
    ],
)
def test_the_daemons_own_api(facts: OwnApiFacts, verdict: str, words: str) -> None:
    finding = judge_own_api(facts, LINUX)
    assert finding.verdict == verdict
    assert words in finding.cause


def test_a_blocked_api_is_opened_by_the_firewall_that_is_there() -> None:
    finding = judge_own_api(OwnApiFacts(HERE, Silent("no answer"), ANSWER, True), LINUX)
    assert "sudo ufw allow 17615/tcp" in finding.fix


def test_the_chain_port() -> None:
    port = Endpoint("192.168.1.5", 17617)
    assert judge_chain_port(port, None, ()).verdict == "ok"
    own = ("/ip4/192.168.1.5/tcp/17617/p2p/Qm",)
    assert judge_chain_port(port, errno.EADDRINUSE, own).verdict == "ok"
    assert judge_chain_port(port, errno.EADDRINUSE, ("/ip4/192.168.1.5/tcp/176170/p2p/Qm",)).verdict == "note"


def test_what_the_chain_survives() -> None:
    half, whole = BlockSpan(0, 3), BlockSpan(0, 6)
    verdicts = [
        [finding.verdict for finding in judge_coverage(coverage_of(served, 6))]
        for served in ([half], [whole], [whole, whole])
    ]
    assert verdicts == [["problem"], ["note"], ["ok"]]
    (finding,) = judge_coverage(coverage_of([half], 6, 2**30))
    assert "--blocks 3:6" in finding.fix
    assert "4.3 GiB" in finding.cause
    assert not list(judge_coverage(None))


def test_the_chains_program() -> None:
    assert judge_chain(ChainFacts(Path("p2pd"))).verdict == "ok"
    assert "missing" in judge_chain(ChainFacts(None)).cause
    assert judge_chain(ChainFacts(Path("p2pd"), "it is not executable")).fix == "chmod +x p2pd"
    assert "pip install" in judge_chain(ChainFacts(Path("p2pd"), "Exec format error")).fix
