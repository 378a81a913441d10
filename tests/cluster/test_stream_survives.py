"""Machines freeze, vanish and die while an answer streams: its text stays what it is without them."""

import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.lab.daemons import Daemons, RunningDaemon, wait_until
from tests.lab.lan import Host, Lan, Shape
from tests.lab.streams import WatchedStream

pytestmark = pytest.mark.cluster

LENGTH = 160
SLOW = Shape(delay_ms=15)
"""A token goes to another machine and back, so a stream lasts some seconds, however fast the machines are: long enough
for a fault to happen in its middle."""
LONG = 320
"""Of tokens that are made on one machine."""
BODIES: list[dict[str, Any]] = [
    {"max_tokens": LENGTH, "temperature": 0},
    {"max_tokens": LENGTH, "temperature": 1.5, "top_p": 0.95, "seed": 11},
]


def everything_on(host: Host, number: signal.Signals) -> None:
    """A signal to every process of the machine."""
    host.run("kill", f"-{number.name.removeprefix('SIG')}", "--", "-1")


def armed(host: Host, option: str, pids: list[str]) -> Callable[[], None]:
    """Sends the signal at once when it is called: a stream of local tokens waits for no program that has to start."""
    shell = host.start("sh", "-c", f"read go; kill {option} {' '.join(pids)}", stdin=subprocess.PIPE)

    def fire() -> None:
        shell.communicate("go\n", 10)
        assert shell.returncode == 0

    return fire


def sees(daemon: RunningDaemon, other: RunningDaemon) -> bool:
    rows = daemon.get("/v1/federation/peers")["peers"]
    return any(
        row["node"] == other.node and row["standing"] == "alive" and row["status"]["state"] == "ready" for row in rows
    )


@pytest.mark.lan(hosts=3, switch="user")
def test_streams_go_on_when_a_serving_machine_is_frozen_cut_off_or_killed(lan: Lan, daemons: Daemons) -> None:
    client, *servers = (
        daemons.start("--auto", "--blocks", blocks, on=host, name=host.name)
        for blocks, host in zip(("0:3", "3:6", "3:6"), lan.hosts, strict=True)
    )
    for daemon in (client, *servers):
        daemon.wait_until_ready()
    lan.shape_all(SLOW)
    by_node = {server.node: server for server in servers}
    expected = [WatchedStream(client, body).wait().text for body in BODIES]

    def disturbed(fault: Callable[[Host], None]) -> RunningDaemon:
        """The same answers again, with this happening to the machine that serves them; returns it."""
        wait_until(lambda: all(sees(client, server) for server in servers), "both servers are back", 60)
        serving = by_node[WatchedStream(client, {"max_tokens": 2}).wait().nodes[1]]
        assert serving.host is not None
        streams = [WatchedStream(client, body) for body in BODIES]
        for stream in streams:
            stream.wait_for_pieces(10)
        fault(serving.host)
        assert [stream.wait().text for stream in streams] == expected
        assert any(len(stream.nodes) == 3 for stream in streams), "nobody noticed the fault"
        return serving

    lost = disturbed(lambda host: everything_on(host, signal.SIGSTOP))
    assert lost.host is not None
    everything_on(lost.host, signal.SIGCONT)
    lost.send_signal(signal.SIGCONT)
    lost = disturbed(lan.cut)
    assert lost.host is not None
    lan.heal(lost.host)
    lost = disturbed(lambda host: everything_on(host, signal.SIGKILL))

    # Now there is no other.
    (left,) = (server for server in servers if server is not lost)
    stream = WatchedStream(client, BODIES[0])
    stream.wait_for_pieces(10)
    died_at = time.monotonic()
    assert left.host is not None
    everything_on(left.host, signal.SIGKILL)
    stream.wait(60)
    assert stream.error is not None
    assert stream.ended_at is not None
    assert stream.ended_at - died_at < 40
    assert (stream.error["code"], stream.error["type"]) == ("unavailable", "service_unavailable")
    assert "3:6" in stream.error["message"]
    assert "--blocks 3:6" in stream.error["message"]
    assert expected[0].startswith(stream.text)
    client.stop()


@pytest.mark.lan(hosts=2)
def test_an_answer_outlives_the_own_worker_by_a_peer_and_alone(lan: Lan, daemons: Daemons) -> None:
    client, peer = (daemons.start("--auto", on=host).wait_until_ready() for host in lan.hosts)
    wait_until(lambda: sees(client, peer), "the peer is known to be ready")
    assert client.host is not None
    long = [{**body, "max_tokens": LONG} for body in BODIES]
    expected = [WatchedStream(client, body).wait() for body in long]

    def killed() -> list[WatchedStream]:
        kill_worker = armed(client.host, "-KILL", client.host.run("pgrep", "-f", "swarm.worker").stdout.split())
        streams = [WatchedStream(client, body) for body in long]
        for stream in streams:
            stream.wait_for_pieces(5)
        kill_worker()
        for stream, whole in zip(streams, expected, strict=True):
            assert stream.wait().text == whole.text
            assert sum(piece.tokens for piece in stream.pieces) == sum(piece.tokens for piece in whole.pieces)
        return streams

    assert all(set(stream.nodes) == {client.node, peer.node} for stream in killed())
    peer.stop()
    wait_until(lambda: client.get("/health")["status"] == "ok", "ready again", 60)
    assert all(stream.nodes == [client.node] for stream in killed())
    client.stop()
