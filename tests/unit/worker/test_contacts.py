"""Whom the chain has met, who is still to be met, and who is gone. In a fresh interpreter, as it imports hivemind."""

import subprocess
import sys

SCENE = """
from swarm.worker import compat; compat.prepare()
import asyncio
from types import SimpleNamespace
from hivemind.p2p import PeerID
from swarm.worker.chain.clock import SwarmClock
from swarm.worker.chain.contacts import Contacts
from swarm.worker.chain.measures import Measures

ID = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"
OWN = "QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt"
HERE, THERE = (f"/ip4/10.0.0.{host}/tcp/17617/p2p/{ID}" for host in (1, 2))


class Libp2p:
    def __init__(self):
        self.done, self.answers, self.gate = [], True, asyncio.Event()
        self.gate.set()

    async def connect(self, server, places):
        self.done.append(f"connect {places[0]}")
        await self.gate.wait()
        if not self.answers:
            raise ConnectionError("nobody there")

    async def disconnect(self, server):
        self.done.append("disconnect")


async def rpc_ping(request, timeout):
    return SimpleNamespace(dht_time=0.0)


async def nothing(*_, **__):
    pass


def scene():
    libp2p = Libp2p()
    protocol = SimpleNamespace(node_info=None, get_stub=lambda _: SimpleNamespace(rpc_ping=rpc_ping), call_ping=nothing)
    dht = SimpleNamespace(protocol=protocol, find_nearest_nodes=nothing, node_id=0)
    p2p = SimpleNamespace(peer_id=PeerID.from_base58(OWN), _client=libp2p)
    measures = Measures()
    contacts = Contacts(SimpleNamespace(network=SimpleNamespace(p2p=p2p, dht=dht)), SwarmClock(), measures)
    return libp2p, contacts, measures


async def main():
    libp2p, contacts, measures = scene()
    measures.suspect(ID, is_suspect=True)
    assert await contacts.meet([HERE]) and not contacts.unmet and not measures.is_suspect(ID)
    assert libp2p.done == ["connect /ip4/10.0.0.1/tcp/17617"]

    # It went to another address: what is left of the connection to the old one is not used again.
    assert contacts.forget([HERE]) == [ID] and contacts.is_gone(ID)
    assert await contacts.meet([THERE]) and not contacts.is_gone(ID)
    assert libp2p.done[1:] == ["disconnect", "connect /ip4/10.0.0.2/tcp/17617"]

    # Back at the same address, where a connection that lived through it is good.
    contacts.forget([THERE])
    assert await contacts.meet([THERE]) and libp2p.done[3:] == ["connect /ip4/10.0.0.2/tcp/17617"]

    # Who does not answer stays gone, and is tried again until it is forgotten.
    libp2p, contacts, _ = scene()
    contacts.forget([HERE])
    libp2p.answers = False
    assert not await contacts.meet([HERE]) and contacts.is_gone(ID) and contacts.unmet == (HERE,)
    assert libp2p.done[-1] == "disconnect"
    contacts.forget([HERE])
    assert contacts.unmet == ()

    # One that was never lost may only be busy, and sessions may run over the connection.
    libp2p, contacts, _ = scene()
    libp2p.answers = False
    assert not await contacts.meet([HERE]) and "disconnect" not in libp2p.done

    # Forgotten while it was being met.
    libp2p, contacts, _ = scene()
    libp2p.gate.clear()
    meeting = asyncio.create_task(contacts.meet([HERE]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    contacts.forget([HERE])
    libp2p.gate.set()
    assert not await meeting and contacts.is_gone(ID) and contacts.unmet == ()

    # Nonsense, and itself.
    assert not await contacts.meet(["nonsense", f"/ip4/10.0.0.1/tcp/1/p2p/{OWN}"]) and contacts.unmet == ()

asyncio.run(main())
"""


def test_who_is_met_unmet_and_gone() -> None:
    done = subprocess.run([sys.executable, "-c", SCENE], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
