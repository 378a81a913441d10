"""The ring: each node is watched by as many as it watches, and nobody is moved when others come and go."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from swarm.domain.ids import NodeId
from swarm.domain.nodes import Endpoint
from swarm.membership.peer import Peer
from swarm.membership.ring import Ring, Rotation
from swarm.membership.rows import EVERYBODY, WATCHED, Rows
from tests.fakes.made_up_lan import node_status

nodes = st.sets(st.text("abcdefgh234567", min_size=1, max_size=6).map(NodeId), min_size=1, max_size=60)


def ring_of(members: set[NodeId]) -> Ring:
    ring = Ring()
    for node in members:
        ring.add(node)
        ring.add(node)
    return ring


def rows_of(this: NodeId, members: set[NodeId]) -> Rows:
    rows = Rows(this)
    for port, node in enumerate(sorted(members - {this})):
        rows.add(Peer(Endpoint("10.0.0.1", 2000 + port), node_status(node), 0.0, 0.0, 0.0))
    return rows


@given(nodes, st.data())
def test_once_round_names_everybody_once_and_oneself_last(members: set[NodeId], data: st.DataObject) -> None:
    ring, start = ring_of(members), data.draw(st.sampled_from(sorted(members)))
    for order in (list(ring.after(start)), list(ring.before(start))):
        assert set(order) == members
        assert len(order) == len(members)
        assert order[-1] == start


@given(nodes, st.data())
def test_others_that_leave_do_not_change_the_order_of_the_rest(members: set[NodeId], data: st.DataObject) -> None:
    ring, gone = ring_of(members), data.draw(st.sets(st.sampled_from(sorted(members))))
    before = [node for node in ring.after(NodeId("e")) if node not in gone]
    for node in gone:
        ring.discard(node)
        ring.discard(node)
    assert list(ring.after(NodeId("e"))) == before


def test_beyond_a_few_dozen_each_node_watches_eight_and_is_watched_by_eight() -> None:
    members = {NodeId(f"node{place:03d}") for place in range(EVERYBODY + 30)}
    watched: Counter[NodeId] = Counter()
    for this in members:
        rows = rows_of(this, members)
        watched.update(peer.node for peer in rows.watched())
        watchers = {peer.node for peer in rows.watchers(WATCHED)}
        assert all(this in {peer.node for peer in rows_of(node, members).watched()} for node in watchers)
    assert set(watched.values()) == {WATCHED}
    assert set(watched) == members


def test_up_to_a_few_dozen_all_are_watched() -> None:
    members = {NodeId(f"node{place}") for place in range(EVERYBODY + 1)}
    assert len(rows_of(NodeId("node0"), members).watched()) == EVERYBODY


@given(nodes)
def test_the_rotation_comes_round_to_everybody(members: set[NodeId]) -> None:
    rotation = Rotation(NodeId("self"), "probe")
    for node in members:
        rotation.add(node)
    for _ in range(2):
        assert {rotation.turn(lambda node: True) for _ in members} == members


def test_two_nodes_take_their_turns_in_another_order() -> None:
    members = [NodeId(f"node{place}") for place in range(40)]
    orders = []
    for this in ("ann", "bob"):
        rotation = Rotation(NodeId(this), "probe")
        for node in members:
            rotation.add(node)
        orders.append([rotation.turn(lambda node: True) for _ in members])
    assert orders[0] != orders[1]


def test_the_rotation_passes_over_whom_nobody_wants() -> None:
    rotation = Rotation(NodeId("self"), "probe")
    assert rotation.turn(lambda node: True) is None
    rotation.add(NodeId("ann"))
    assert rotation.turn(lambda node: False) is None
    assert [rotation.turn(lambda node: True) for _ in range(2)] == ["ann", "ann"]
    rotation.discard(NodeId("ann"))
    assert rotation.turn(lambda node: True) is None


def test_the_ring_can_be_cut_short() -> None:
    ring = ring_of({NodeId(letter) for letter in "abcd"})
    assert list(islice(ring.after(NodeId("b")), 3)) == ["c", "d", "a"]
    assert list(islice(ring.before(NodeId("b")), 3)) == ["a", "d", "c"]
