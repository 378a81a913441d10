"""Whatever is heard, answered, lost or forged, in whatever order: these hold for the table of peers."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from swarm.domain.events import MembershipEvent, PeerChanged, PeerJoined, PeerLeft, PeerSuspected
from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Advert, Endpoint
from swarm.membership.settings import MembershipSettings
from swarm.membership.table import PeerTable, Probe
from tests.fakes.made_up_lan import node_status

NODES = ("self", "bob", "carol", "dave")
BOOTS = ("boot1", "boot2")
ENDPOINTS = tuple(Endpoint("10.0.0.1", port) for port in range(2000, 2006))
SETTINGS = MembershipSettings(candidates=3)
ROOM = 5

nodes, boots, endpoints = st.sampled_from(NODES), st.sampled_from(BOOTS), st.sampled_from(ENDPOINTS)


class TableMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.table = PeerTable(NodeId("self"), SETTINGS)
        self.now = 50.0
        self.open: list[Probe] = []
        self.answered: set[str] = set()
        self.standing: dict[str, str] = {}
        """Of each peer, as its events tell it."""

    @rule(node=nodes, boot=boots, at=st.lists(endpoints, max_size=3))
    def hear(self, node: str, boot: str, at: list[Endpoint]) -> None:
        self.table.hints.announced(Advert(NodeId(node), BootId(boot), tuple(at)), self.now)

    @rule(endpoint=endpoints)
    def configure(self, endpoint: Endpoint) -> None:
        self.table.hints.configured([endpoint], self.now)

    @rule(node=nodes)
    def forge_goodbye(self, node: str) -> None:
        self.table.hints.said_goodbye(NodeId(node), self.now)

    @rule(seconds=st.floats(0.05, 1.0))
    def tick(self, seconds: float) -> None:
        self.now += seconds
        self._take(self.table.expire(self.now))
        started = self.table.due(self.now, ROOM)
        assert len(started) <= ROOM
        self.open.extend(started)

    @rule(seconds=st.floats(1.3, 900.0))
    def sleep(self, seconds: float) -> None:
        before = {peer.node for peer in self.table.peers(self.now) if peer.standing == "alive"}
        self.now += seconds
        self._take(self.table.expire(self.now))
        after = {peer.node for peer in self.table.peers(self.now) if peer.standing == "alive"}
        assert before == after, "a pause of this process is nobody's death"

    @precondition(lambda self: self.open)
    @rule(data=st.data(), node=nodes, boot=boots, protocol=st.sampled_from((1, 1, 1, 2)))
    def answer(self, data: st.DataObject, node: str, boot: str, protocol: int) -> None:
        probe = self._one_of(data)
        self.answered.add(node)
        status = node_status(node, boot, protocol=protocol)
        self._take(self.table.answered(probe, status, 0.01, self.now))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), refused=st.booleans())
    def fail(self, data: st.DataObject, refused: bool) -> None:
        self._take(self.table.failed(self._one_of(data), refused, self.now))

    @invariant()
    def one_row_a_node_and_never_itself(self) -> None:
        rows = Counter(peer.node for peer in self.table.peers(self.now))
        assert set(rows.values()) <= {1}
        assert "self" not in rows

    @invariant()
    def no_two_peers_at_one_address(self) -> None:
        at = Counter(peer.endpoint for peer in self.table.peers(self.now) if peer.status is not None)
        assert set(at.values()) <= {1}

    @invariant()
    def only_those_who_answered_are_peers(self) -> None:
        for peer in self.table.peers(self.now):
            if peer.status is not None:
                assert peer.node in self.answered
                assert peer.node == peer.status.node

    @invariant()
    def the_events_tell_what_the_table_says(self) -> None:
        told = {peer.node: peer.standing for peer in self.table.peers(self.now) if peer.standing != "candidate"}
        assert told == self.standing

    @invariant()
    def whoever_is_not_alive_has_a_reason_and_whoever_is_has_none(self) -> None:
        for peer in self.table.peers(self.now):
            assert (peer.problem is None) == (peer.standing == "alive")

    def _one_of(self, data: st.DataObject) -> Probe:
        return self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))

    def _take(self, events: tuple[MembershipEvent, ...]) -> None:
        for event in events:
            node = event.peer.node
            match event:
                case PeerJoined():
                    assert node not in self.standing
                    self.standing[node] = "alive"
                case PeerSuspected():
                    assert self.standing[node] == "alive"
                    self.standing[node] = "suspect"
                case PeerChanged():
                    assert node in self.standing
                    self.standing[node] = event.peer.standing
                case PeerLeft():
                    del self.standing[node]

    def teardown(self) -> None:
        """Whatever happened: if all answer from now on, all who are at a configured address become peers."""
        while self.open:
            self._take(self.table.failed(self.open.pop(), False, self.now))
        at = dict(zip(ENDPOINTS, NODES, strict=False))
        self.table.hints.configured(ENDPOINTS[:4], self.now)
        for _ in range(700):
            self.now += 0.1
            self._take(self.table.expire(self.now))
            for probe in self.table.due(self.now, 64):
                if probe.endpoint in at:
                    self._take(self.table.answered(probe, node_status(at[probe.endpoint], "boot3"), 0.01, self.now))
                else:
                    self._take(self.table.failed(probe, True, self.now))
        assert self.standing == {"bob": "alive", "carol": "alive", "dave": "alive"}


TestTable = TableMachine.TestCase
TestTable.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
