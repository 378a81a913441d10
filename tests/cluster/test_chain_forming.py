"""A model that fits on no single host: the hosts share it by themselves, and take over for each other."""

import threading
from typing import Any

import pytest

from tests.lab.daemons import Daemons, RunningDaemon, wait_until
from tests.lab.host import Host
from tests.lab.lan import Lan, Shape

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]
HALF, WHOLE = ("--model", "demo", "--memory", "3.6MiB"), ("--model", "demo")
"""Three of the six blocks fit, or all."""
LONG = {"prompt": "9" * 60, "max_tokens": 240, "temperature": 0}
SLOW = Shape(delay_ms=15)
"""A token goes to another machine and back, so that a long answer takes some fifteen seconds, however fast they are."""
READY_S = 150.0


def blocks(daemon: RunningDaemon) -> str:
    span = daemon.get("/v1/federation/peers")["self"]["blocks"]
    return f"{span['start']}:{span['end']}" if span else "none"


def coverage(daemon: RunningDaemon) -> dict[str, Any]:
    return dict(daemon.get("/health")["coverage"])


def text(daemon: RunningDaemon, asked: dict[str, Any]) -> str:
    reply = daemon.post("/v1/completions", asked, timeout_s=120)
    assert "choices" in reply, f"{reply}\n{daemon.log}"
    return str(reply["choices"][0]["text"])


def kill(daemon: RunningDaemon) -> None:
    """The daemon, its worker and libp2p, as when the machine is switched off."""
    host = daemon.host
    assert isinstance(host, Host)
    host.crash()


@pytest.mark.lan(hosts=2)
def test_who_comes_later_completes_the_chain_and_nobody_restarts(lan: Lan, daemons: Daemons) -> None:
    a = daemons.start(*HALF, on=lan.hosts[0]).wait_until_listening()
    wait_until(lambda: "state=waiting" in a.log, "it waits for blocks", READY_S)
    assert blocks(a) == "0:3"
    unready = a.get("/health")
    assert "start one more node with --blocks 3:6 (3.0 MiB of memory)" in unready["error"]["message"]
    assert unready["coverage"]["missing"] == ["3:6"]
    b = daemons.start(*HALF, on=lan.hosts[1]).wait_until_ready(READY_S)
    a.wait_until_ready(READY_S)
    assert blocks(b) == "3:6"
    asked = {"prompt": "12 + 30 - 7 = ", "max_tokens": 32, "temperature": 0}
    assert text(a, asked) == text(b, asked)
    assert "only, whose death would stop the model" in coverage(a)["in_words"]
    for daemon in (a, b):
        daemon.stop()


@pytest.mark.lan(hosts=4, switch="user")
def test_hosts_of_one_second_serve_each_block_twice_and_again_after_a_death(lan: Lan, daemons: Daemons) -> None:
    whole = daemons.start(*WHOLE, on=lan.hosts[0])
    parts = [daemons.start(*HALF, on=host) for host in lan.hosts[1:]]
    for daemon in (whole, *parts):
        daemon.wait_until_ready(READY_S)
    wait_until(lambda: coverage(whole)["least_served"] == 2, "each block is served twice", 60)
    spans = [blocks(part) for part in parts]
    assert set(spans) == {"0:3", "3:6"}
    alone = next(part for part in parts if spans.count(blocks(part)) == 1)
    twins = [part for part in parts if part is not alone]
    expected = text(whole, LONG)
    lan.shape_all(SLOW)
    streams = [_Asking(twin) for twin in twins]
    kill(alone)
    wait_until(lambda: {blocks(twin) for twin in twins} == {"0:3", "3:6"}, "one of the twins took its place", 90)
    wait_until(lambda: coverage(whole)["least_served"] == 2, "each block is served twice again", 60)
    assert [stream.result() for stream in streams] == [expected, expected]
    moved = next(twin for twin in twins if "other blocks need this node more" in twin.log)
    assert expected.startswith(text(moved, {**LONG, "max_tokens": 40}))
    assert "model worker ended" not in "".join(daemon.log for daemon in (whole, *twins))
    for daemon in (whole, *twins):
        daemon.stop()


@pytest.mark.lan(hosts=2)
def test_a_host_that_gets_another_address_serves_on_from_there_without_loading_again(
    lan: Lan, daemons: Daemons
) -> None:
    still, roaming = (
        daemons.start("--model", "demo", "--blocks", span, on=host)
        for span, host in zip(("0:3", "3:6"), lan.hosts, strict=True)
    )
    for daemon in (still, roaming):
        daemon.wait_until_ready(READY_S)
    asked = {"prompt": "12 + 30 - 7 = ", "max_tokens": 32, "temperature": 0}
    expected = text(still, asked)
    host = lan.hosts[1]
    host.network("ip", "addr", "del", f"{host.address}/24", "dev", "eth0")
    host.network("ip", "addr", "add", "10.77.0.52/24", "dev", "eth0")
    wait_until(lambda: any("10.77.0.52" in address for address in chain_of(still, roaming.node)), "its new address", 60)
    roaming.url = roaming.url.replace(host.address, "10.77.0.52")
    for daemon in (still, roaming):
        wait_until(lambda daemon=daemon: daemon.get("/health").get("status") == "ok", "all blocks are served again", 60)
    assert text(still, asked) == text(roaming, asked) == expected
    assert "model worker ended" not in roaming.log + still.log
    for daemon in (still, roaming):
        daemon.stop()


def chain_of(daemon: RunningDaemon, node: str) -> list[str]:
    """libp2p addresses of a peer, as this daemon knows them."""
    rows = daemon.get("/v1/federation/peers")["peers"]
    return [
        address
        for row in rows
        if row["node"] == node and row["status"] and row["standing"] == "alive"
        for address in row["status"]["chain_addresses"]
    ]


class _Asking(threading.Thread):
    """A long answer, asked for beside the test."""

    def __init__(self, daemon: RunningDaemon) -> None:
        super().__init__(daemon=True)
        self._daemon, self._text = daemon, ""
        self.start()

    def run(self) -> None:
        self._text = text(self._daemon, LONG)

    def result(self) -> str:
        self.join(120)
        return self._text
