"""Voters that die, freeze, send nonsense or come too late while an answer is streamed: the client gets a good one."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from swarm.domain.federation import PeerVote
from swarm.domain.ids import NodeId
from swarm.wire.codec import to_plain
from swarm.wire.federation_messages import VoteReply
from tests.lab.daemons import Daemons, RunningDaemon, server_events, wait_until
from tests.lab.lan import Host, Lan, why_not

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]
QUESTION = "Tom has 12 apples, buys 30 and gives away 7. How many?"
LONG = {"prompt": "9" * 60, "max_tokens": 400, "temperature": 0.9}
"""Takes seconds; what comes of it is free text."""
PAGE = "<html><script>alert('a vote?')</script></html>"


class Pair(NamedTuple):
    asker: RunningDaemon
    voter: RunningDaemon
    third: Host
    """Where a node that is none may be put."""


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    if reason := why_not():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("voters")
    settings = folder / "settings.toml"
    settings.write_text("[federation]\nenabled = true\ndeadline_s = 10.0\npatience = 1.5\nexamine_every_s = 0.0\n")
    with Lan(hosts=3) as lan, Daemons(folder) as daemons:
        common = ("--auto", "--blocks", "none", "--engine", "local", "--config", str(settings))
        asker, voter = (daemons.start(*common, on=host) for host in lan.hosts[:2])
        asker.wait_until_ready()
        voter.wait_until_ready()
        wait_until(lambda: voter.node in alive(asker), "the voter")
        yield Pair(asker, voter, lan.hosts[2])


def alive(daemon: RunningDaemon) -> list[str]:
    return [row["node"] for row in daemon.get("/v1/federation/peers")["peers"] if row["standing"] == "alive"]


def running(daemon: RunningDaemon) -> int:
    return int(daemon.get("/v1/federation/peers")["self"]["load"]["running"])


def stream(asker: RunningDaemon, path: str, body: dict[str, Any]) -> subprocess.Popen[str]:
    """Begun, and not read yet."""
    assert asker.host is not None
    command = ("curl", "-sN", "--max-time", "90", asker.url + path, "-H", "Content-Type: application/json")
    return asker.host.start(*command, "-d", json.dumps({**body, "stream": True}), stdout=subprocess.PIPE)


def finished(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """Its chunks, held against the protocol: one reason to end, the decision with it, nothing after [DONE]."""
    text, _ = process.communicate(timeout=100)
    assert text.rstrip().endswith("data: [DONE]"), text
    chunks = list(server_events(iter(text.splitlines())))
    assert not [chunk for chunk in chunks if "error" in chunk], text
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert reasons[:-1] == [None] * (len(reasons) - 1)
    assert reasons[-1] in ("stop", "length")
    return chunks


def text_of(chunks: list[dict[str, Any]]) -> str:
    choices = [chunk["choices"][0] for chunk in chunks]
    return "".join(choice.get("text") or choice.get("delta", {}).get("content") or "" for choice in choices)


def reason_of(chunks: list[dict[str, Any]], node: str) -> str:
    ballots = chunks[-1]["swarm"]["decision"]["ballots"]
    return next(str(ballot["reason"]) for ballot in ballots if ballot["node"] == node)


def fake_voter(swarm: Pair, node: str, *arguments: str) -> subprocess.Popen[str]:
    command = (sys.executable, "-m", "tests.fakes.lan_peer", "--host", swarm.third.address, "--announce")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = swarm.third.start(
        *command, "--node", node, *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    wait_until(lambda: node in alive(swarm.asker), "the voter that is none")
    return process


def end(process: subprocess.Popen[str], node: str, asker: RunningDaemon) -> None:
    assert process.stdin
    process.stdin.close()
    process.wait(30)
    wait_until(lambda: node not in alive(asker), "it is gone")


@pytest.mark.parametrize("nonsense", [PAGE, '{"votes": [{"text": 7}]}', '{"votes": []}'])
def test_a_voter_that_sends_nonsense_is_a_ballot_that_does_not_count(swarm: Pair, nonsense: str) -> None:
    fake = fake_voter(swarm, "nonsensenonsense", "--vote", nonsense)
    body = {"messages": [{"role": "user", "content": QUESTION}]}
    chunks = finished(stream(swarm.asker, "/chat/completions", body))
    assert "The answer is" in text_of(chunks)
    assert sum(chunk["choices"][0]["delta"].get("role") == "assistant" for chunk in chunks) == 1
    assert reason_of(chunks, "nonsensenonsense")
    assert "<script>" not in swarm.asker.log
    end(fake, "nonsensenonsense", swarm.asker)


def test_a_voter_that_answers_too_late_is_not_waited_for(swarm: Pair) -> None:
    late = PeerVote(NodeId("latelatelatelate"), "The answer is 666.", "stop", 6, 0.0, "swarm-demo", "x", 0.0)
    reply = json.dumps(to_plain(VoteReply((late,))))
    fake = fake_voter(swarm, "latelatelatelate", "--vote", reply, "--vote-after-s", "90")
    started = time.monotonic()
    body = {"messages": [{"role": "user", "content": QUESTION}]}
    chunks = finished(stream(swarm.asker, "/chat/completions", body))
    assert time.monotonic() - started < 60
    assert "666" not in text_of(chunks)
    assert "not waited for" in reason_of(chunks, "latelatelatelate")
    end(fake, "latelatelatelate", swarm.asker)


def test_a_client_that_leaves_stops_every_voter(swarm: Pair) -> None:
    asking = stream(swarm.asker, "/completions", LONG)
    wait_until(lambda: running(swarm.voter) == 1, "the voter generates")
    swarm.third.signal(asking, signal.SIGKILL)
    wait_until(lambda: running(swarm.voter) == 0 and running(swarm.asker) == 0, "both have stopped", 10)
    asking.wait(20)


def test_a_voter_that_freezes_is_not_waited_for(swarm: Pair) -> None:
    asking = stream(swarm.asker, "/completions", LONG)
    wait_until(lambda: running(swarm.voter) == 1, "the voter generates")
    swarm.voter.send_signal(signal.SIGSTOP)
    try:
        chunks = finished(asking)
    finally:
        swarm.voter.send_signal(signal.SIGCONT)
    assert text_of(chunks)
    assert reason_of(chunks, swarm.voter.node)
    wait_until(lambda: swarm.voter.node in alive(swarm.asker), "it is back")


def test_a_voter_that_is_killed_is_not_waited_for(swarm: Pair) -> None:
    asking = stream(swarm.asker, "/completions", LONG)
    wait_until(lambda: running(swarm.voter) == 1, "the voter generates")
    swarm.voter.send_signal(signal.SIGKILL)
    chunks = finished(asking)
    assert text_of(chunks)
    assert reason_of(chunks, swarm.voter.node)
    assert chunks[-1]["swarm"]["nodes"] == [swarm.asker.node]
