"""Nothing is ever sent beyond the LAN: all that would leave it goes to a cable that ends nowhere, and is counted."""

import json

import pytest

from tests.lab.daemons import Daemons
from tests.lab.lan import Host, Lan

pytestmark = pytest.mark.cluster


def lead_out_to_nowhere(host: Host) -> None:
    """A default route, so that nothing fails before it is sent; also for names, whose server is not on the LAN."""
    host.network("ip", "link", "add", "outside", "type", "veth", "peer", "name", "nowhere")
    for end in ("outside", "nowhere"):
        host.network("ip", "link", "set", end, "addrgenmode", "none")  # no IPv6 of the kernel's own
        host.network("ip", "link", "set", end, "up")
    for family in ("-4", "-6"):
        host.network("ip", family, "route", "add", "default", "dev", "outside")


def sent_outside(host: Host) -> int:
    """Packets, those that only ask for the way among them."""
    (link,) = json.loads(host.network("ip", "-json", "-statistics", "link", "show", "outside"))
    return int(link["stats64"]["tx"]["packets"])


def test_nodes_that_share_a_model_never_look_beyond_their_lan(lan: Lan, daemons: Daemons) -> None:
    for host in lan.hosts:
        lead_out_to_nowhere(host)
    first, second = lan.hosts
    a = daemons.start("--auto", "--engine", "chain", "--blocks", "0:3", on=first)
    b = daemons.start("--auto", "--engine", "chain", "--blocks", "3:6", on=second)
    for daemon in (a, b):
        daemon.wait_until_ready()
        reply = daemon.post("/v1/completions", {"prompt": "12 + 30 - 7 = ", "max_tokens": 8, "temperature": 0})
        assert reply["swarm"]["route"] == "chain"
    for daemon in (a, b):
        daemon.stop()
    assert [sent_outside(host) for host in lan.hosts] == [0, 0]
    for address in ("1.1.1.1", "[2606:4700::1111]"):  # and what is sent is counted
        before = sent_outside(first)
        with pytest.raises(RuntimeError):
            first.run("curl", "-gs", "--max-time", "2", f"http://{address}/")
        assert sent_outside(first) > before
