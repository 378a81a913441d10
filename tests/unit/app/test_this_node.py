"""What this node takes from what the others say of themselves."""

from swarm.app.this_node import chain_addresses_of
from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Endpoint, Load, NodeStatus, PeerInfo


def peer(host: str, *addresses: str) -> PeerInfo:
    node, boot = NodeId("n"), BootId("b")
    status = NodeStatus(node, boot, "n", "0.1.0", 1, "ready", "", 1, Load(), chain_addresses=addresses)
    return PeerInfo(node, boot, Endpoint(host, 17615), "alive", status, 0.0)


def test_a_peer_is_dialled_for_the_chain_where_it_answers() -> None:
    address = "/ip4/192.168.1.20/tcp/17617/p2p/Qm1"
    assert chain_addresses_of(peer("192.168.1.20", address)) == (address,)
    zoned = "/ip6/FE80:0::1/tcp/17617/p2p/Qm1"
    assert chain_addresses_of(peer("fe80::1%eth0", zoned)) == (zoned,)


def test_a_peer_cannot_send_this_node_to_a_third_machine() -> None:
    elsewhere = ("/ip4/8.8.8.8/tcp/443/p2p/Qm1", "/dns4/example.org/tcp/1/p2p/Qm1", "/", "", "junk")
    assert chain_addresses_of(peer("192.168.1.20", *elsewhere)) == ()
