"""Each fault that the doctor knows is made on a throw-away LAN, and the doctor names it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from swarm.host.identity import load_identity
from tests.lab.daemons import ROOT, Daemons, wait_until
from tests.lab.lan import Host, Lan, Shape

pytestmark = pytest.mark.cluster
LIMIT_S, START_S = 10.0, 20.0
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("SWARM_")}
ENVIRONMENT["PYTHONPATH"] = str(ROOT)


class Doctor:
    """Runs it on a host, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, host: Host, *arguments: str, folder: Path | None = None) -> Report:
        command = (sys.executable, str(ROOT / "main.py"), "doctor", "--json", "--data-dir", str(folder or self.folder))
        started = time.monotonic()
        done = subprocess.run(
            host.inside(*command, *arguments), capture_output=True, text=True, env=ENVIRONMENT, timeout=80
        )
        assert done.stdout, done.stderr
        # The interpreter and its imports count too, on a machine that is busy with other tests.
        assert time.monotonic() - started < LIMIT_S + START_S
        return Report(json.loads(done.stdout)["findings"], done.returncode)


class Report:
    def __init__(self, findings: list[dict[str, str]], exit_code: int) -> None:
        self.findings, self.exit_code = findings, exit_code

    def of(self, check: str) -> list[dict[str, str]]:
        return [finding for finding in self.findings if finding["check"] == check]

    def problems(self) -> dict[str, str]:
        return {finding["check"]: finding["cause"] for finding in self.findings if finding["verdict"] == "problem"}

    def assert_problem(self, check: str, *words: str) -> None:
        """It is found, says the cause, and offers a way out."""
        text = "\n".join(json.dumps(finding) for finding in self.of(check) if finding["verdict"] == "problem")
        assert text, self.findings
        for word in words:
            assert word in text, text
        assert all(finding["fix"] for finding in self.of(check) if finding["verdict"] == "problem")
        assert self.exit_code == 1


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    return Doctor(tmp_path / "data")


def fake_peer(host: Host, *arguments: str) -> subprocess.Popen[str]:
    command = (sys.executable, "-m", "tests.fakes.lan_peer", "--host", host.address, *arguments)
    process = host.start(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def held_port(host: Host, port: int) -> None:
    server = f"s = socket.create_server(({host.address!r}, {port}))"
    code = f"import socket, time; {server}; print('held', flush=True); time.sleep(99)"
    process = host.start(sys.executable, "-c", code, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"


# -- nothing is wrong -------------------------------------------------------------------------------------------------


def test_on_a_sound_lan_it_finds_no_problem_with_a_daemon_and_without_and_peers_prints_the_table(
    lan: Lan, daemons: Daemons, doctor: Doctor
) -> None:
    first, second = lan.hosts
    a, b = daemons.start("--auto", on=first), daemons.start("--auto", on=second)
    a.wait_until_ready()
    b.wait_until_ready()
    wait_until(lambda: a.get("/v1/federation/peers")["peers"], "the peer")
    running = doctor(first, folder=a.folder)
    assert running.problems() == {}
    assert running.exit_code == 0
    assert "answers on 10.77.0.1:17615" in running.of("own API")[0]["cause"]
    assert running.of("mDNS answers")[0]["verdict"] == "ok"
    assert "host2" in running.of("peer")[0]["cause"]

    by_folder = peers(first, "--data-dir", str(a.folder)).stdout.splitlines()
    assert by_folder[0].split()[:3] == ["NAME", "ID", "ADDRESS"]
    assert by_folder[1].split()[:4] == ["host2", b.node[:8], "10.77.0.2:17615", "alive"]
    by_url = json.loads(peers(first, "--json", "--url", b.url).stdout)
    assert [peer["node"] for peer in by_url["peers"]] == [a.node]
    a.stop()
    assert doctor(first).problems() == {}
    b.stop()
    nobody = peers(first, "--data-dir", str(a.folder))
    assert nobody.returncode == 2
    assert "no daemon answers" in nobody.stderr
    assert "Traceback" not in nobody.stderr


def peers(host: Host, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = host.inside(sys.executable, str(ROOT / "main.py"), "peers", *arguments)
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=80)


# -- this machine -----------------------------------------------------------------------------------------------------


@pytest.mark.lan(hosts=1)
def test_no_private_address(lan: Lan, doctor: Doctor) -> None:
    lan.hosts[0].set_link(up=False)
    doctor(lan.hosts[0]).assert_problem("address", "no private address")


@pytest.mark.lan(hosts=1)
def test_the_interface_of_containers_chosen_although_there_is_a_real_one(lan: Lan, doctor: Doctor) -> None:
    host = lan.hosts[0]
    host.network("ip", "link", "add", "docker0", "type", "veth", "peer", "name", "veth0")
    host.network("ip", "addr", "add", "172.17.0.1/16", "dev", "docker0")
    host.network("ip", "link", "set", "docker0", "up")
    host.network("ip", "link", "set", "veth0", "up")
    doctor(host, "--host", "172.17.0.1").assert_problem("interface", "docker0", "--host 10.77.0.1")
    assert doctor(host).of("interface")[0]["verdict"] == "ok"


@pytest.mark.lan(hosts=1)
def test_an_address_that_is_gone(lan: Lan, doctor: Doctor) -> None:
    report = doctor(lan.hosts[0], "--host", "10.77.0.99")
    report.assert_problem("address", "10.77.0.99", "--host 10.77.0.1")
    report.assert_problem("API port", "not an address of this machine")


@pytest.mark.lan(hosts=1)
def test_ipv6_alone_is_said(lan: Lan, doctor: Doctor) -> None:
    host = lan.hosts[0]
    host.network("ip", "addr", "flush", "dev", "eth0", "scope", "global")
    host.network("ip", "addr", "add", "fd77::1/64", "dev", "eth0", "nodad")
    report = doctor(host)
    assert report.of("address family")[0]["verdict"] == "note"
    assert "IPv4" in report.of("address family")[0]["cause"]
    assert report.of("multicast")[0]["verdict"] == "ok"


@pytest.mark.lan(hosts=1)
def test_the_port_taken_by_another_program_and_by_another_local_swarm(lan: Lan, doctor: Doctor) -> None:
    host = lan.hosts[0]
    held_port(host, 17615)
    doctor(host).assert_problem("API port", "another program", "ss -ltnp", "--port 17616")
    fake_peer(host, "--port", "17700")
    swarm = doctor(host, "--port", "17700").of("API port")[0]
    assert swarm["verdict"] == "note"
    assert "another Local Swarm" in swarm["cause"]


@pytest.mark.lan(hosts=1)
def test_the_port_of_the_chain_taken(lan: Lan, doctor: Doctor) -> None:
    held_port(lan.hosts[0], 17617)
    assert "taken" in doctor(lan.hosts[0]).of("chain port")[0]["cause"]


@pytest.mark.lan(hosts=1)
def test_a_daemon_that_answers_on_localhost_but_not_on_its_lan_address(lan: Lan, doctor: Doctor) -> None:
    host = lan.hosts[0]
    node = load_identity(made(doctor.folder) / "identity.pem").node
    (doctor.folder / "state.json").write_text('{"api": "10.77.0.1:17615"}')
    fake_peer(Host("localhost", "127.0.0.1", host.holder, host.pid, host.started), "--node", node)
    doctor(host).assert_problem("own API", "localhost but not on its LAN address", "17615")


@pytest.mark.lan(hosts=1)
def test_a_data_folder_that_is_held_by_a_process_that_does_not_answer(lan: Lan, doctor: Doctor) -> None:
    lock = made(doctor.folder) / "daemon.lock"
    lock.write_text("4242\n")
    code = f"import fcntl, time; f = open({str(lock)!r}); fcntl.flock(f, 2); print('held', flush=True); time.sleep(99)"
    process = lan.hosts[0].start(sys.executable, "-c", code, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    report = doctor(lan.hosts[0])
    report.assert_problem("data folder", "4242", "--data-dir")
    report.assert_problem("own API", "does not answer")


@pytest.mark.lan(hosts=1)
def test_a_data_folder_that_cannot_be_written(lan: Lan, doctor: Doctor, tmp_path: Path) -> None:
    file = tmp_path / "a-file"
    file.touch()
    doctor(lan.hosts[0], folder=file / "data").assert_problem("data folder", "nothing can be written", "--data-dir")


def made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


# -- multicast --------------------------------------------------------------------------------------------------------


@pytest.mark.lan(hosts=1)
@pytest.mark.parametrize(
    ("hook", "words"),
    [("output", ("blocks mDNS on its way out", "5353")), ("input", ("blocks mDNS on its way in", "5353"))],
)
def test_a_firewall_that_blocks_multicast(lan: Lan, doctor: Doctor, hook: str, words: tuple[str, ...]) -> None:
    if not shutil.which("nft"):
        pytest.skip("needs nft")
    rules = f"table inet t {{ chain c {{ type filter hook {hook} priority 0; udp dport 5353 drop; }}; }}"
    lan.hosts[0].run("nft", rules)
    doctor(lan.hosts[0]).assert_problem("multicast", *words, "--peer")


@pytest.mark.lan(hosts=1)
def test_a_system_that_joins_no_multicast_group(lan: Lan, doctor: Doctor) -> None:
    lan.hosts[0].run("sh", "-c", "echo 0 > /proc/sys/net/ipv4/igmp_max_memberships")
    doctor(lan.hosts[0]).assert_problem("multicast", "multicast group", "igmp_max_memberships", "--peer")


@pytest.mark.lan(hosts=1)
def test_a_routing_table_that_forbids_multicast(lan: Lan, doctor: Doctor) -> None:
    host = lan.hosts[0]
    host.network("ip", "addr", "flush", "dev", "eth0", "scope", "global")
    host.network("ip", "addr", "add", "fd77::1/64", "dev", "eth0", "nodad")
    host.network("ip", "-6", "route", "del", "multicast", "ff00::/8", "dev", "eth0", "table", "local")
    doctor(host).assert_problem("multicast", "routing table", "ff00::/8 dev eth0", "--peer")


@pytest.mark.lan(hosts=2, switch="user")
def test_a_network_that_passes_no_multicast(lan: Lan, doctor: Doctor) -> None:
    first, second = lan.hosts
    fake_peer(second, "--announce")
    # Each learns the other's hardware address before the broadcasts that ask for it are lost too.
    first.run("curl", "-sS", f"http://{second.address}:17615/v1/federation/health")
    lan.shape_all(Shape(multicast_loss_pct=100))
    report = doctor(first, "--peer", f"{second.address}:17615")
    assert report.of("peer")[0]["verdict"] == "ok"
    answers = report.of("mDNS answers")[0]
    assert answers["verdict"] == "note"  # It was named, and it works.
    assert "AP isolation" in answers["cause"]


@pytest.mark.lan(hosts=1)
def test_a_known_peer_of_which_nothing_is_heard_at_all(lan: Lan, doctor: Doctor) -> None:
    report = doctor(lan.hosts[0], "--peer", "10.77.0.9:17615")
    report.assert_problem("mDNS answers", "AP isolation", "do not answer over TCP either", "--peer")


# -- peers ------------------------------------------------------------------------------------------------------------


def test_a_peer_that_refuses_is_told_from_one_that_is_silent(lan: Lan, doctor: Doctor) -> None:
    first, second = lan.hosts
    fake_peer(second, "--announce", "--deaf")
    report = doctor(first, "--peer", "10.77.0.9:17615")
    causes = [finding["cause"] for finding in report.of("peer")]
    assert any("10.77.0.2:17615 refuses connections" in cause for cause in causes), causes
    assert any("10.77.0.9:17615 is silent" in cause for cause in causes), causes
    report.assert_problem("peer", "announced on mDNS")


def test_a_peer_of_another_protocol_version(lan: Lan, doctor: Doctor) -> None:
    first, second = lan.hosts
    fake_peer(second, "--announce", "--version", "9.9.9", "--protocol", "99")
    doctor(first).assert_problem("version", "another protocol version", "9.9.9", "99", "on this machine")


def test_a_peer_whose_clock_is_off(lan: Lan, doctor: Doctor) -> None:
    first, second = lan.hosts
    fake_peer(second, "--announce", "--clock-ahead-s", "60")
    doctor(first).assert_problem("clock", "60 s ahead", "timedatectl")


def test_a_clock_within_the_limit_is_no_problem(lan: Lan, doctor: Doctor) -> None:
    first, second = lan.hosts
    fake_peer(second, "--announce", "--clock-ahead-s", "-2")
    assert doctor(first).of("clock")[0]["verdict"] == "ok"


@pytest.mark.lan(hosts=3)
def test_two_nodes_with_the_same_id(lan: Lan, doctor: Doctor) -> None:
    first, second, third = lan.hosts
    fake_peer(second, "--announce", "--boot", "one")
    fake_peer(third, "--announce", "--boot", "two")
    doctor(first).assert_problem("node id", "fakefakefakefake", "10.77.0.2", "10.77.0.3", "identity.pem")


def test_another_node_with_the_id_of_this_one(lan: Lan, doctor: Doctor) -> None:
    first, second = lan.hosts
    fake_peer(second, "--announce", "--node", load_identity(made(doctor.folder) / "identity.pem").node)
    doctor(first).assert_problem("node id", "this machine's own id", "10.77.0.2")


def test_a_peer_that_is_not_reached_by_this_one_the_other_way(lan: Lan, daemons: Daemons, doctor: Doctor) -> None:
    first, second = lan.hosts
    daemon = daemons.start("--auto", on=first).wait_until_ready()
    fake_peer(second, "--announce", "--suspects", daemon.node)
    report = doctor(first, folder=daemon.folder)
    report.assert_problem("seen by peers", "firewall on this machine", "suspect", "17615")
    daemon.stop()
