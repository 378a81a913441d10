"""A swarm beyond a few dozen peers, and what its nodes tell each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pytest

from swarm.domain.events import PeerChanged, PeerJoined, PeerLeft, PeerSuspected
from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Advert, Endpoint, News, NodeStatus, PeerInfo
from swarm.membership.hearsay import ASK_EVERY_S, dialable
from swarm.membership.rows import EVERYBODY, WATCHED
from swarm.membership.schedule import TURN_EVERY_S
from swarm.membership.settings import MembershipSettings
from swarm.membership.table import PeerTable, Probe
from tests.fakes.made_up_hosts import MadeUpHosts
from tests.fakes.made_up_lan import node_status

THIS = NodeId("self")
OWN = Endpoint("10.0.0.1", 17615)
BOOT = BootId("boot1")


def at(place: int) -> Endpoint:
    return Endpoint(f"10.0.{1 + place // 250}.{1 + place % 250}", 17615)


class Swarm(MadeUpHosts):
    """A table that has met `count` nodes."""

    def __init__(self, count: int) -> None:
        super().__init__(PeerTable(THIS, MembershipSettings(candidates=2000), lambda: (OWN,)))
        self.meet(range(count))
        self.events.clear()

    def meet(self, places: range) -> None:
        for place in places:
            self.hosts[at(place)] = node_status(f"node{place:03d}")
            self.table.hints.announced(Advert(NodeId(f"node{place:03d}"), BOOT, (at(place),)), self.now)
        self.run(3 + len(places) / 64)
        assert len(self.alive()) == places.stop

    def alive(self) -> set[str]:
        return {peer.node for peer in self.table.peers(self.now) if peer.standing == "alive"}

    def row(self, node: str) -> PeerInfo | None:
        return next((peer for peer in self.table.peers(self.now) if peer.node == node), None)

    def hear(self, *news: News) -> None:
        """From a peer that is probed all the time."""
        self.probes.clear()
        self.run(2.5)
        ((endpoint, _),) = counted(self.probes).most_common(1)
        host = self.hosts[endpoint]
        assert isinstance(host, NodeStatus)
        self.hosts[endpoint] = replace(host, news=news)
        self.run(1.6)
        self.hosts[endpoint] = host


def counted(probes: Iterable[Probe]) -> Counter[Endpoint]:
    return Counter(probe.endpoint for probe in probes)


def unwatched(swarm: Swarm) -> int:
    """The place of a peer whose turn is far off."""
    swarm.probes.clear()
    swarm.run(5)
    probed = {probe.endpoint for probe in swarm.probes}
    return next(place for place in range(100) if at(place) not in probed)


@pytest.mark.parametrize("count", [40, 100, 300])
def test_the_number_of_probes_does_not_grow_with_the_swarm(count: int) -> None:
    swarm = Swarm(count)
    swarm.probes.clear()
    swarm.run(20)
    assert len(swarm.probes) == pytest.approx(20 * (WATCHED + 1 / TURN_EVERY_S), rel=0.1)
    often = [endpoint for endpoint, times in counted(swarm.probes).items() if times >= 15]
    assert len(often) == WATCHED


def test_everybody_has_a_turn() -> None:
    swarm = Swarm(50)
    swarm.probes.clear()
    swarm.run((50 - WATCHED) * TURN_EVERY_S * 1.3)
    assert set(counted(swarm.probes)) == {at(place) for place in range(50)}


def test_up_to_a_few_dozen_all_are_probed_each_second() -> None:
    swarm = Swarm(EVERYBODY)
    swarm.probes.clear()
    swarm.run(10)
    assert min(counted(swarm.probes).values()) >= 9


def test_one_lost_probe_does_not_kill_a_peer_that_is_seldom_asked() -> None:
    swarm = Swarm(60)
    place = unwatched(swarm)
    swarm.run(60)
    node = f"node{place:03d}"
    host, swarm.hosts[at(place)] = swarm.hosts[at(place)], "silent"
    while PeerSuspected not in {type(event) for event in swarm.events}:
        swarm.run(0.1)
    swarm.run(0.5)
    assert swarm.row(node) is not None
    swarm.hosts[at(place)] = host
    swarm.run(3)
    assert node in swarm.alive()


def test_a_loss_that_is_told_is_looked_at_and_believed_when_it_is_true() -> None:
    swarm = Swarm(60)
    swarm.run(32)
    place = unwatched(swarm)
    node = f"node{place:03d}"
    del swarm.hosts[at(place)]
    swarm.hear(News(NodeId(node), BOOT, at(place), "lost", 0.5))
    assert [type(event) for event in swarm.events] == [PeerLeft]
    assert [(news.node, news.kind) for news in swarm.table.news(swarm.now)] == [(node, "lost")]


def test_a_loss_that_is_not_true_costs_one_probe_and_is_not_passed_on() -> None:
    swarm = Swarm(60)
    swarm.run(32)
    place = unwatched(swarm)
    swarm.hear(News(NodeId(f"node{place:03d}"), BOOT, at(place), "lost", 0.5))
    assert swarm.events == []
    assert swarm.table.news(swarm.now) == ()
    swarm.run(4)
    assert counted(swarm.probes)[at(place)] == 1


def test_a_newcomer_that_is_told_is_met_and_passed_on_with_its_age() -> None:
    swarm = Swarm(3)
    swarm.run(32)
    swarm.hosts[at(99)] = node_status("zoe")
    swarm.hear(News(NodeId("zoe"), BOOT, at(99), "joined", 7.0))
    assert [type(event) for event in swarm.events] == [PeerJoined]
    (news,) = swarm.table.news(swarm.now)
    assert (news.node, news.kind) == ("zoe", "joined")
    assert news.age_s >= 7


@pytest.mark.parametrize(
    "news",
    [
        News(NodeId("zoe"), BOOT, Endpoint("8.8.8.8", 17615), "joined", 0.0),
        News(NodeId("zoe"), BOOT, Endpoint("10.0.0.9", 22), "joined", 0.0),
        News(NodeId("zoe"), BOOT, OWN, "joined", 0.0),
        News(THIS, BOOT, at(98), "joined", 0.0),
        News(NodeId("<b>"), BOOT, at(98), "joined", 0.0),
        News(NodeId("zoe"), BootId("\n"), at(98), "joined", 0.0),
        News(NodeId("zoe"), BOOT, at(98), "joined", 99.0),
        News(NodeId("zoe"), BOOT, at(98), "lost", 0.0),
    ],
)
def test_news_that_is_of_no_use_makes_no_probe(news: News) -> None:
    swarm = Swarm(2)
    swarm.run(32)
    swarm.hear(news)
    swarm.run(2)
    assert set(counted(swarm.probes)) == {at(0), at(1)}
    assert swarm.table.news(swarm.now) == ()


def test_the_news_is_not_kept_with_the_status() -> None:
    swarm = Swarm(2)
    swarm.hear(News(NodeId("zoe"), BOOT, at(98), "joined", 0.0))
    assert all(row.status is None or row.status.news == () for row in swarm.table.peers(swarm.now))
    assert swarm.events == []


def test_a_members_list_longer_than_the_places_is_worked_off() -> None:
    table = PeerTable(THIS, MembershipSettings(candidates=8), lambda: (OWN,))
    rows = [PeerInfo(NodeId(f"node{place}"), BOOT, at(place), "alive", None, 0.0) for place in range(200)]
    table.hints.learned([*rows, replace(rows[0], node=NodeId("x"), standing="suspect", endpoint=at(220))], 1.0)
    now, probed = 1.0, set()
    for _ in range(40):
        now += 0.1
        table.expire(now)
        for probe in table.due(now, 64):
            probed.add(probe.endpoint)
            table.answered(probe, node_status(f"node{len(probed)}x"), 0.01, now)
    assert probed == {at(place) for place in range(200)}


def test_the_first_one_met_is_asked_and_then_one_each_half_minute() -> None:
    swarm = Swarm(4)
    asked = []
    for _ in range(round(10 * 4 * ASK_EVERY_S)):
        swarm.run(0.1)
        if (member := swarm.table.asking.due(swarm.now)) is not None:
            asked.append(member)
    assert 4 <= len(asked) <= 5
    assert len(set(asked)) == 4
    swarm.table.asking.failed(swarm.now)
    swarm.run(1.1)
    assert swarm.table.asking.due(swarm.now) is not None


def test_in_a_large_swarm_tables_are_asked_for_less_often_also_by_one_that_asked_when_it_knew_one() -> None:
    swarm = Swarm(1)
    assert swarm.table.asking.due(swarm.now) is not None
    swarm.meet(range(1, 96))
    swarm.run(1.5 * ASK_EVERY_S)
    assert swarm.table.asking.due(swarm.now) is None
    swarm.run(1.5 * ASK_EVERY_S)
    assert swarm.table.asking.due(swarm.now) is not None


def test_whoever_comes_and_goes_gets_no_work_until_it_has_lived_for_half_a_minute() -> None:
    swarm = Swarm(2)
    for boot in ("boot2", "boot3", "boot4"):
        swarm.hosts[at(0)] = node_status("node000", boot)
        swarm.run(2)
    assert [type(event) for event in swarm.events][-3:] == [PeerLeft, PeerJoined, PeerSuspected]
    row = swarm.row("node000")
    assert row is not None
    assert row.standing == "suspect"
    assert "3 times" in (row.problem or "")
    swarm.run(20)
    assert swarm.alive() == {"node001"}
    swarm.events.clear()
    swarm.run(12)
    (event,) = swarm.events
    assert isinstance(event, PeerChanged)
    assert event.peer.standing == "alive"


def test_a_silence_during_the_trial_begins_it_anew() -> None:
    swarm = Swarm(2)
    for boot in ("boot2", "boot3", "boot4"):
        swarm.hosts[at(0)] = node_status("node000", boot)
        swarm.run(2)
    swarm.run(20)
    host, swarm.hosts[at(0)] = swarm.hosts[at(0)], "silent"
    swarm.run(4)
    swarm.hosts[at(0)] = host
    swarm.run(20)
    assert swarm.alive() == {"node001"}
    swarm.run(12)
    assert swarm.alive() == {"node000", "node001"}


@pytest.mark.parametrize(
    ("told", "own", "reached"),
    [
        ("192.168.1.7", "192.168.1.2", "192.168.1.7"),
        ("100.64.3.4", "192.168.1.2", "100.64.3.4"),
        ("8.8.8.8", "192.168.1.2", None),
        ("130.92.9.7", "130.92.9.2", "130.92.9.7"),
        ("130.92.8.7", "130.92.9.2", None),
        ("127.0.0.1", "192.168.1.2", None),
        ("127.0.0.1", "", None),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("192.168.1.7", "127.0.0.1", None),
        ("169.254.169.254", "192.168.1.2", None),
        ("::ffff:8.8.8.8", "192.168.1.2", None),
        ("224.0.0.251", "192.168.1.2", None),
        ("0.0.0.0", "192.168.1.2", None),
        ("255.255.255.255", "192.168.1.2", None),
        ("nas.local", "192.168.1.2", None),
        ("fd00::7", "192.168.1.2", "fd00::7"),
        ("fe80::7%en0", "fe80::2%eth0", "fe80::7%eth0"),
        ("fe80::7%en0", "192.168.1.2", None),
        ("2001:db9::7", "2001:db9::2", "2001:db9::7"),
        ("2001:db9::7", "2001:db9:1::2", None),
        ("2001:0:4136:e378::7", "192.168.1.2", None),
        ("64:ff9b:1::808:808", "192.168.1.2", None),
        ("fd00::7%\x1b[31m\n", "192.168.1.2", "fd00::7"),
        ("::1%any", "::1", "::1"),
    ],
)
def test_a_told_address_is_dialled_only_where_it_can_be_a_neighbour(told: str, own: str, reached: str | None) -> None:
    endpoint = dialable(Endpoint(told, 17615), own)
    assert endpoint == (None if reached is None else Endpoint(reached, 17615))
