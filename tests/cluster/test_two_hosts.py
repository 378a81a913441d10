"""Several hosts on one LAN: they find each other, vote, share a model, and lose one another."""

import json
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from tests.lab.daemons import Daemons, RunningDaemon, server_events, wait_until
from tests.lab.lan import Host, Lan, why_not

pytestmark = pytest.mark.cluster
FEDERATED = ("--auto", "--federation")
QUESTION = "Tom has 12 apples, buys 30 and gives away 7. How many?"


def peer_ids(daemon: RunningDaemon) -> set[str]:
    return {peer["node"] for peer in daemon.get("/v1/federation/peers")["peers"] if peer["standing"] == "alive"}


def chat(content: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}], **more}


def openai_stream(host: Host, url: str, question: str) -> list[dict[str, Any]]:
    """What the `openai` package, run on that host, receives."""
    code = (
        "import sys, openai\n"
        "client = openai.OpenAI(base_url=sys.argv[1], api_key='none')\n"
        "messages = [{'role': 'user', 'content': sys.argv[2]}]\n"
        "for chunk in client.chat.completions.create(model='swarm-demo', messages=messages, stream=True):\n"
        "    print(chunk.model_dump_json())\n"
    )
    done = host.run(sys.executable, "-c", code, url, question)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_two_hosts_find_each_other_by_multicast_and_answer_by_vote(lan: Lan, daemons: Daemons) -> None:
    first, second = lan.hosts
    a, b = daemons.start(*FEDERATED, on=first), daemons.start(*FEDERATED, on=second)
    a.wait_until_ready()
    b.wait_until_ready()
    assert a.url == f"http://{first.address}:17615/v1"
    wait_until(lambda: b.node in peer_ids(a) and a.node in peer_ids(b), "each lists the other")
    a.wait_until_logged("joined")

    chunks = openai_stream(second, a.url, QUESTION)
    text = "".join(chunk["choices"][0]["delta"]["content"] or "" for chunk in chunks)
    assert "The answer is" in text
    decision = chunks[-1]["swarm"]["decision"]
    assert {ballot["node"] for ballot in decision["ballots"]} == {a.node, b.node}
    assert sum(ballot["chosen"] for ballot in decision["ballots"]) == 1

    curl = first.run(
        *("curl", "-sN", f"{a.url}/chat/completions", "-H", "Content-Type: application/json"),
        *("-d", json.dumps(chat(QUESTION, stream=True))),
    )
    assert curl.stdout.rstrip().endswith("data: [DONE]")
    assert list(server_events(iter(curl.stdout.splitlines())))[-1]["swarm"]["route"] == "federation"

    for strategy in ("best_of_n", "weighted_vote", "first_valid"):
        reply = a.post("/v1/chat/completions", chat(QUESTION, swarm={"strategy": strategy}))
        assert reply["swarm"]["decision"]["strategy"] == strategy
    a.stop()
    wait_until(lambda: not peer_ids(b), "the goodbye was heard")
    alone = b.post("/v1/chat/completions", chat(QUESTION))
    assert "The answer is" in alone["choices"][0]["message"]["content"]
    b.stop()


@pytest.mark.lan(hosts=3)
def test_a_model_split_over_two_hosts_gives_exactly_the_tokens_of_the_whole(lan: Lan, daemons: Daemons) -> None:
    a = daemons.start("--auto", "--blocks", "0:3", on=lan.hosts[0])
    b = daemons.start("--auto", "--blocks", "3:6", on=lan.hosts[1])
    whole = daemons.start("--auto", "--blocks", "none", "--no-mdns", on=lan.hosts[2])
    for daemon in (a, b, whole):
        daemon.wait_until_ready()
    for number in range(20):
        prompt = f"{number * 7 + 3} + {number * 5 + 11} - {number} = "
        asked = {"prompt": prompt, "max_tokens": 64, "temperature": 0}
        expected = whole.post("/v1/completions", asked)
        for daemon, others in ((a, b), (b, a)):
            reply = daemon.post("/v1/completions", asked)
            assert reply["choices"][0]["text"] == expected["choices"][0]["text"]
            assert reply["usage"] == expected["usage"]
            assert reply["swarm"]["route"] == "chain"
            assert set(reply["swarm"]["nodes"]) == {daemon.node, others.node}
    for daemon in (a, b, whole):
        daemon.stop()


def test_when_a_voter_is_killed_during_a_request_the_answer_still_comes(lan: Lan, daemons: Daemons) -> None:
    a, b = (daemons.start(*FEDERATED, on=host).wait_until_ready() for host in lan.hosts)
    wait_until(lambda: b.node in peer_ids(a), "the peer")
    # The peer freezes, so that the vote is surely waiting for it when it dies.
    b.send_signal(signal.SIGSTOP)
    replies: list[Any] = []
    asking = threading.Thread(target=lambda: replies.append(a.post("/v1/chat/completions", chat(QUESTION))))
    asking.start()
    time.sleep(0.3)
    b.send_signal(signal.SIGKILL)
    asking.join(60)
    assert replies
    assert "The answer is" in replies[0]["choices"][0]["message"]["content"]
    wait_until(lambda: not peer_ids(a), "the dead peer is gone")
    b.process.wait(20)
    a.stop()


@pytest.mark.lan(hosts=3)
def test_blocks_that_are_missing_are_named_and_taken_by_those_who_come(lan: Lan, daemons: Daemons) -> None:
    hosts = lan.hosts
    a = daemons.start("--auto", "--blocks", "0:3", on=hosts[0])
    a.wait_until_logged("state=waiting")
    assert "3:6" in refusal(a)
    b = daemons.start("--auto", "--blocks", "1", on=hosts[1])
    b.wait_until_logged("state=waiting")
    assert "4:6" in refusal(b)
    c = daemons.start("--auto", "--blocks", "2", on=hosts[2])
    for daemon in (a, b, c):
        daemon.wait_until_ready()
        reply = daemon.post("/v1/chat/completions", chat(QUESTION, temperature=0))
        assert "The answer is" in reply["choices"][0]["message"]["content"]
        assert len(reply["swarm"]["nodes"]) == 3
    for daemon in (a, b, c):
        daemon.stop()


def refusal(daemon: RunningDaemon) -> str:
    assert daemon.host is not None
    daemon.url = f"http://{daemon.host.address}:17615/v1"
    return str(daemon.post("/v1/chat/completions", chat(QUESTION))["error"]["message"])


def test_a_peer_that_multicast_does_not_reach_is_found_by_its_address(lan: Lan, daemons: Daemons) -> None:
    first, second = lan.hosts
    a = daemons.start(*FEDERATED, "--no-mdns", on=first).wait_until_ready()
    b = daemons.start(*FEDERATED, "--no-mdns", "--peer", f"{first.address}:17615", on=second).wait_until_ready()
    wait_until(lambda: a.node in peer_ids(b), "the configured peer")
    reply = b.post("/v1/chat/completions", chat(QUESTION))
    assert len(reply["swarm"]["decision"]["ballots"]) == 2
    for daemon in (a, b):
        daemon.stop()


def test_it_starts_and_answers_without_any_network(lan: Lan, daemons: Daemons) -> None:
    host = lan.hosts[0]
    host.set_link(up=False)
    daemon = daemons.start(*FEDERATED, on=host).wait_until_ready()
    assert daemon.url == "http://127.0.0.1:17615/v1"
    assert daemon.post("/v1/chat/completions", chat(QUESTION))["choices"][0]["finish_reason"] == "stop"
    daemon.stop()


def test_namespaces_leave_nothing_behind_when_their_maker_is_killed() -> None:
    if reason := why_not():
        pytest.skip(reason)
    code = (
        "from tests.lab.lan import Lan; import time\n"
        "with Lan(2) as lan: print(*[host.pid for host in lan.hosts], flush=True); time.sleep(60)"
    )
    maker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert maker.stdout is not None
    pids = maker.stdout.readline().split()
    assert len(pids) == 2
    assert all(map(_is_alive, pids))
    maker.kill()
    maker.wait()
    maker.stdout.close()
    wait_until(lambda: not any(_is_alive(pid) for pid in pids), "the hosts are gone")


def _is_alive(pid: str) -> bool:
    return subprocess.run(["kill", "-0", pid], capture_output=True).returncode == 0


def _peer_state(daemon: RunningDaemon, node: str) -> str | None:
    rows = daemon.get("/v1/federation/peers")["peers"]
    return next((row["status"]["state"] for row in rows if row["node"] == node and row["status"]), None)


def test_while_its_worker_is_dead_a_node_answers_by_its_peer(lan: Lan, daemons: Daemons) -> None:
    a, b = (daemons.start("--auto", on=host).wait_until_ready() for host in lan.hosts)
    wait_until(lambda: _peer_state(a, b.node) == "ready", "the peer is known to be ready")
    assert a.host is not None
    a.host.run("pkill", "-KILL", "-f", "swarm.worker")  # In its own pid namespace: no other worker is seen there.
    a.wait_until_logged("the model worker ended")
    reply = a.post("/v1/chat/completions", chat(QUESTION, temperature=0))
    assert "The answer is" in reply["choices"][0]["message"]["content"]
    assert (reply["swarm"]["route"], reply["swarm"]["nodes"][0]) == ("peer", b.node)
    wait_until(lambda: a.get("/health")["status"] == "ok", "ready again", 60)
    for daemon in (a, b):
        daemon.stop()
