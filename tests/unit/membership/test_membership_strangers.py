"""What strangers say, made fit to be kept, passed on and printed."""

from __future__ import annotations

from dataclasses import replace

from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Endpoint, ModelInfo, PeerInfo
from swarm.membership.candidates import MOST_GREETINGS, MOST_REMEMBERED, Candidates
from swarm.membership.settings import MembershipSettings
from swarm.membership.strangers import clean_peer, clean_status
from swarm.wire.codec import pack, unpack
from swarm.wire.federation_messages import PeersReply
from tests.fakes.made_up_lan import node_status

HERE = Endpoint("10.0.0.1", 17615)
HUGE = 10**30
EVIL = "\x1b[31m\nINFO all is well"


def test_numbers_without_measure_do_not_spoil_the_table_for_others() -> None:
    model = ModelInfo("m", "d", layers=HUGE, context_tokens=HUGE, created=-HUGE)
    status = clean_status(node_status("bob", protocol=HUGE, requests=HUGE, tokens=HUGE, model=model))
    table = PeersReply(status, (PeerInfo(NodeId("bob"), BootId("b"), HERE, "alive", status, 0.0),))
    assert unpack(PeersReply, pack(table)) == table


def test_a_row_of_another_nodes_table_is_fit_to_be_printed() -> None:
    status = node_status("bob", name=EVIL, version=EVIL)
    row = PeerInfo(NodeId(EVIL), BootId(EVIL), Endpoint(f"fd00::1%{EVIL}", 1), "suspect", status, 0.0, None, EVIL)
    clean = clean_peer(row)
    assert clean.status is not None
    texts = (clean.node, clean.boot, clean.endpoint.host, clean.problem or "", clean.status.name, clean.status.version)
    assert all(text.isprintable() for text in texts)
    honest = PeerInfo(NodeId("bob"), BootId("b"), Endpoint("nas.local", 1), "alive", None, 0.0)
    assert clean_peer(honest) == honest
    assert clean_peer(replace(honest, status=node_status("bob"))).status == node_status("bob")


def test_a_flood_of_greetings_from_one_machine_pushes_out_nobody() -> None:
    candidates = Candidates(MembershipSettings())
    candidates.remember(HERE, NodeId("bob"), 0.0)
    for place in range(2 * MOST_REMEMBERED):
        candidates.greeted(Endpoint("10.9.0.1", 2000 + place), NodeId(f"fake{place}"), 1.0 + place)
    vouched = [candidate.endpoint for candidate in candidates if candidate.is_vouched]
    assert HERE in vouched
    assert len(vouched) == 1 + MOST_GREETINGS
