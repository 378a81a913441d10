"""Nothing is ever sent beyond the LAN: the kernel counts what it had no route for, and what asked for a name."""

import pytest

from tests.lab.daemons import Daemons
from tests.lab.lan import Host, Lan

pytestmark = pytest.mark.cluster


def counters(host: Host) -> dict[str, int]:
    """Of the host's network namespace: what had no route, and datagrams to ports of its own where nobody listens, as
    those to a name server on loopback."""
    lines = host.network("cat", f"/proc/{host.pid}/net/snmp").splitlines()
    pairs = [(names.split(), values.split()) for names, values in zip(lines[::2], lines[1::2], strict=True)]
    found = {
        f"{names[0]}{name}": int(value) for names, values in pairs for name, value in zip(names, values, strict=True)
    }
    v6 = dict(line.split() for line in host.network("cat", f"/proc/{host.pid}/net/snmp6").splitlines())
    return {
        "no route": found["Ip:OutNoRoutes"],
        "no route, IPv6": int(v6["Ip6OutNoRoutes"]),
        "nobody there": found["Udp:NoPorts"],
        "nobody there, IPv6": int(v6["Udp6NoPorts"]),
    }


def test_nodes_that_share_a_model_never_look_beyond_their_lan(lan: Lan, daemons: Daemons) -> None:
    assert all("default" not in host.network("ip", "route") for host in lan.hosts)
    before = [counters(host) for host in lan.hosts]
    first, second = lan.hosts
    a = daemons.start("--auto", "--engine", "chain", "--blocks", "0:3", on=first)
    b = daemons.start("--auto", "--engine", "chain", "--blocks", "3:6", on=second)
    for daemon in (a, b):
        daemon.wait_until_ready()
        reply = daemon.post("/v1/completions", {"prompt": "12 + 30 - 7 = ", "max_tokens": 8, "temperature": 0})
        assert reply["swarm"]["route"] == "chain"
    assert [counters(host) for host in lan.hosts] == before
    with pytest.raises(RuntimeError):
        first.run("curl", "-s", "--max-time", "2", "http://1.1.1.1/")  # and the counter counts
    assert counters(first)["no route"] > before[0]["no route"]
    for daemon in (a, b):
        daemon.stop()
