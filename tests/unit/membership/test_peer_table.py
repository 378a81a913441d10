"""The table of peers, one rule a test."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest

from swarm.domain.events import MembershipEvent, PeerChanged, PeerJoined, PeerLeft, PeerSuspected
from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Advert, Endpoint, Load
from swarm.membership.settings import MembershipSettings
from swarm.membership.table import LARGEST_SWARM, PeerTable
from tests.fakes.made_up_hosts import MadeUpHosts
from tests.fakes.made_up_lan import node_status

THIS = NodeId("self")
HERE, THERE = Endpoint("10.0.0.1", 17615), Endpoint("10.0.0.2", 17615)


def advert(node: str, *endpoints: Endpoint, boot: str = "boot1") -> Advert:
    return Advert(NodeId(node), BootId(boot), endpoints)


SETTINGS = MembershipSettings()


class Story(MadeUpHosts):
    def __init__(self, **settings: float) -> None:
        super().__init__(PeerTable(THIS, MembershipSettings(**settings)))  # type: ignore[arg-type]

    def row(self, node: str) -> tuple[str, str] | None:
        """Standing and address."""
        rows = [(peer.standing, str(peer.endpoint)) for peer in self.table.peers(self.now) if peer.node == node]
        assert len(rows) <= 1
        return rows[0] if rows else None


@pytest.fixture
def story() -> Story:
    return Story()


@pytest.fixture
def met(story: Story) -> Story:
    """`bob` was met at HERE."""
    story.hosts[HERE] = node_status("bob")
    story.table.hints.announced(advert("bob", HERE), story.now)
    story.run(1)
    assert story.row("bob") == ("alive", str(HERE))
    return story


def kinds(events: Iterable[MembershipEvent]) -> list[type]:
    return [type(event) for event in events]


def test_an_announced_node_is_a_peer_only_after_it_answered(story: Story) -> None:
    story.table.hints.announced(advert("bob", HERE), story.now)
    assert story.row("bob") is None
    story.hosts[HERE] = node_status("bob")
    assert kinds(story.run(1)) == [PeerJoined]


def test_an_announced_node_that_does_not_answer_is_shown_with_the_reason(story: Story) -> None:
    story.hosts[HERE] = "silent"
    story.table.hints.announced(advert("bob", HERE), story.now)
    assert story.run(4) == []
    (row,) = story.table.peers(story.now)
    assert (row.standing, row.status) == ("candidate", None)
    assert "firewall" in (row.problem or "")


def test_the_node_that_answers_counts_not_the_one_announced(story: Story) -> None:
    story.hosts[HERE] = node_status("carol")
    story.table.hints.announced(advert("bob", HERE), story.now)
    story.run(1)
    assert (story.row("bob"), story.row("carol")) == (None, ("alive", str(HERE)))


def test_this_node_is_never_its_own_peer(story: Story) -> None:
    story.hosts[HERE] = node_status("self")
    story.table.hints.announced(advert("self", HERE), story.now)
    story.table.hints.configured([HERE], story.now)
    story.table.hints.announced(advert("bob", HERE), story.now)
    assert story.run(40) == []
    assert story.table.peers(story.now) == ()


def test_a_peer_is_probed_once_a_second(met: Story) -> None:
    met.probes.clear()
    met.run(10)
    assert 9 <= len(met.probes) <= 11


def test_a_missed_probe_makes_a_suspect_and_an_answer_makes_it_well(met: Story) -> None:
    met.hosts[HERE] = "silent"
    assert kinds(met.run(3)) == [PeerSuspected]
    assert met.row("bob") == ("suspect", str(HERE))
    met.hosts[HERE] = node_status("bob")
    assert kinds(met.run(1)) == [PeerChanged]
    assert met.row("bob") == ("alive", str(HERE))


def test_fresh_connections_race_for_a_suspect(met: Story) -> None:
    met.hosts[HERE] = "silent"
    met.run(2.7)
    met.probes.clear()
    met.run(1)
    assert len(met.probes) >= 3
    assert {probe.timeout_s for probe in met.probes} == {2 * SETTINGS.probe_timeout_s}


def test_a_silent_peer_is_gone_after_five_seconds_and_not_before(met: Story) -> None:
    met.hosts[HERE] = "silent"
    heard_at = met.now
    while PeerLeft not in kinds(met.events):
        met.run(0.1)
    assert 4.0 <= met.now - heard_at <= 5.3
    assert met.row("bob") is None


def test_a_stopped_daemon_is_gone_within_two_seconds(met: Story) -> None:
    del met.hosts[HERE]
    assert kinds(met.run(2)) == [PeerSuspected, PeerLeft]


def test_a_daemon_that_refuses_for_a_moment_is_not_gone(met: Story) -> None:
    del met.hosts[HERE]
    while PeerSuspected not in kinds(met.events):
        met.run(0.1)
    met.run(0.3)
    met.hosts[HERE] = node_status("bob")
    met.run(1)
    assert PeerLeft not in kinds(met.events)


def test_after_a_goodbye_one_refusal_is_believed(met: Story) -> None:
    del met.hosts[HERE]
    met.table.hints.said_goodbye(NodeId("bob"), met.now)
    (event,) = met.run(0.3)
    assert isinstance(event, PeerLeft)
    assert event.reason == "it said goodbye, or was said to be gone"


def test_a_forged_goodbye_changes_nothing(met: Story) -> None:
    met.table.hints.said_goodbye(NodeId("bob"), met.now)
    met.table.hints.said_goodbye(NodeId("nobody"), met.now)
    assert met.run(10) == []
    assert met.row("bob") == ("alive", str(HERE))


def test_a_goodbye_and_silence_is_only_silence(met: Story) -> None:
    met.table.hints.said_goodbye(NodeId("bob"), met.now)
    met.hosts[HERE] = "silent"
    met.run(3)
    assert met.row("bob") == ("suspect", str(HERE))


def test_a_restart_replaces_the_row_at_the_next_probe(met: Story) -> None:
    met.hosts[HERE] = node_status("bob", "boot2")
    left, joined = met.run(1.1)
    assert isinstance(left, PeerLeft)
    assert isinstance(joined, PeerJoined)
    assert (left.peer.boot, joined.peer.boot) == ("boot1", "boot2")


def test_an_announced_restart_is_probed_at_once(met: Story) -> None:
    met.run(0.6)
    met.hosts[HERE] = node_status("bob", "boot2")
    met.table.hints.announced(advert("bob", HERE, boot="boot2"), met.now)
    assert kinds(met.run(0.3)) == [PeerLeft, PeerJoined]


def test_a_restart_at_another_address_leaves_no_ghost(met: Story) -> None:
    del met.hosts[HERE]
    met.hosts[THERE] = node_status("bob", "boot2")
    met.table.hints.announced(advert("bob", THERE, boot="boot2"), met.now)
    met.run(1)
    assert met.row("bob") == ("alive", str(THERE))
    assert kinds(met.events)[-2:] == [PeerLeft, PeerJoined]


def test_a_second_node_that_claims_an_id_does_not_take_the_row(met: Story) -> None:
    met.hosts[THERE] = node_status("bob", "boot9")
    met.table.hints.announced(advert("bob", THERE, boot="boot9"), met.now)
    assert met.run(30) == []
    assert met.row("bob") == ("alive", str(HERE))


def test_a_node_with_two_addresses_is_one_peer_and_survives_the_loss_of_one(story: Story) -> None:
    story.hosts = {HERE: node_status("bob"), THERE: node_status("bob")}
    story.table.hints.announced(advert("bob", HERE, THERE), story.now)
    assert kinds(story.run(2)) == [PeerJoined]
    story.table.hints.announced(advert("bob", HERE, THERE), story.now)
    story.hosts[HERE] = "silent"
    assert kinds(story.run(10)) == [PeerSuspected, PeerChanged]
    assert story.row("bob") == ("alive", str(THERE))


def test_another_node_at_a_peers_address_ends_that_peer(met: Story) -> None:
    met.hosts[HERE] = node_status("carol")
    assert kinds(met.run(1.1)) == [PeerLeft, PeerJoined]
    assert (met.row("bob"), met.row("carol")) == (None, ("alive", str(HERE)))


def test_a_pause_of_this_process_kills_nobody(met: Story) -> None:
    met.hosts[HERE] = "silent"
    met.run(0.9)
    met.now += 30
    met.hosts[HERE] = node_status("bob")
    assert met.run(5) == []
    assert met.row("bob") == ("alive", str(HERE))


def test_a_peer_that_died_while_we_slept_is_found_five_seconds_after_waking(met: Story) -> None:
    met.hosts[HERE] = "silent"
    met.now += 30
    met.run(4)
    assert met.row("bob") == ("suspect", str(HERE))
    met.run(2)
    assert met.row("bob") is None


def test_a_gone_peer_is_redialled_with_growing_pauses_and_then_forgotten(met: Story) -> None:
    met.hosts[HERE] = "silent"
    met.run(6)
    met.probes.clear()
    met.run(590)
    pauses = [round(b.started_at - a.started_at) for a, b in pairwise(met.probes)]
    assert pauses[:3] == sorted(pauses[:3])
    assert max(pauses) <= 34
    met.run(60)
    met.probes.clear()
    met.run(60)
    assert met.probes == []


def test_a_gone_peer_that_comes_back_joins_again(met: Story) -> None:
    met.hosts[HERE] = "silent"
    met.run(20)
    met.hosts[HERE] = node_status("bob")
    assert kinds(met.run(31)) == [PeerJoined]


def test_a_configured_address_is_probed_for_ever_and_once_in_30_s_at_least(story: Story) -> None:
    story.hosts[HERE] = "silent"
    story.table.hints.configured([HERE], story.now)
    story.run(1500)
    story.probes.clear()
    story.run(40)
    assert len(story.probes) >= 1
    story.hosts[HERE] = node_status("bob")
    assert kinds(story.run(35)) == [PeerJoined]


def test_a_configured_address_of_a_peer_that_is_gone_is_tried_again(story: Story) -> None:
    story.table.hints.configured([HERE], story.now)
    story.hosts[HERE] = node_status("bob")
    story.run(1)
    story.hosts[HERE] = "silent"
    story.run(700)
    story.hosts[HERE] = node_status("bob", "boot2")
    assert kinds(story.run(35)) == [PeerJoined]


def test_another_protocol_is_shown_with_the_reason_and_makes_no_events(story: Story) -> None:
    story.hosts[HERE] = node_status("bob", protocol=2, version="9.0")
    story.table.hints.announced(advert("bob", HERE), story.now)
    assert story.run(2) == []
    (row,) = story.table.peers(story.now)
    assert row.standing == "candidate"
    assert "protocol 2" in (row.problem or "")
    story.hosts[HERE] = node_status("bob", "boot2")
    assert kinds(story.run(2)) == [PeerJoined]


def test_load_and_counters_are_no_news_but_the_state_is(met: Story) -> None:
    met.hosts[HERE] = node_status("bob", load=Load(running=3), tokens=99, requests=2, tokens_per_s=5.0)
    assert met.run(2) == []
    met.hosts[HERE] = node_status("bob", state="failed")
    assert kinds(met.run(2)) == [PeerChanged]


def test_a_flood_of_announcements_is_capped_and_does_not_keep_newcomers_out(story: Story) -> None:
    for place in range(3000):
        story.table.hints.announced(advert(f"fake{place}", Endpoint("10.9.0.1", 2000 + place)), story.now)
    story.run(5)
    assert len(story.table.peers(story.now)) <= 64
    story.hosts[HERE] = node_status("bob")
    story.table.hints.announced(advert("bob", HERE), story.now)
    assert kinds(story.run(1)) == [PeerJoined]


def test_the_number_of_rows_is_bounded(story: Story) -> None:
    for place in range(LARGEST_SWARM + 40):
        endpoint = Endpoint("10.8.0.1", 2000 + place)
        story.hosts[endpoint] = node_status(f"node{place}")
        story.table.hints.announced(advert(f"node{place}", endpoint), story.now)
        story.run(0.2)
    joined = [event for event in story.events if isinstance(event, PeerJoined)]
    assert len(joined) == LARGEST_SWARM


def test_no_more_probes_start_than_there_is_room_for(story: Story) -> None:
    story.table.hints.configured([Endpoint("10.0.0.9", 2000 + place) for place in range(20)], story.now)
    assert len(story.table.due(story.now, 7)) == 7
    assert len(story.table.due(story.now, 20)) == 13


@pytest.mark.parametrize("node", ["", "a" * 65, "a b", "<script>", "ü"])
def test_a_node_without_a_proper_id_is_no_peer(story: Story, node: str) -> None:
    story.hosts[HERE] = node_status(node)
    story.table.hints.announced(advert("bob", HERE), story.now)
    assert story.run(2) == []


def test_what_a_peer_says_is_made_fit_to_show(story: Story) -> None:
    story.hosts[HERE] = node_status("bob", name="evil\r\nINFO \x1b[31m" + "x" * 999, load=Load(slots=0, running=-5))
    story.table.hints.announced(advert("bob", HERE), story.now)
    story.run(1)
    (row,) = story.table.peers(story.now)
    assert row.status is not None
    assert row.status.name.isprintable()
    assert len(row.status.name) <= 64
    assert (row.status.load.slots, row.status.load.running) == (1, 0)


def test_a_late_miss_of_a_race_that_was_won_says_nothing(met: Story) -> None:
    met.hosts[HERE] = "silent"
    while met.row("bob") == ("alive", str(HERE)):
        met.run(0.1)
    (first,) = met.table.due(met.now, 64)
    (second,) = met.table.due(met.now + 0.3, 64)
    assert kinds(met.table.answered(second, node_status("bob"), 0.01, met.now + 0.4)) == [PeerChanged]
    assert met.table.failed(first, False, met.now + 0.5) == ()
    assert met.row("bob") == ("alive", str(HERE))


def test_a_probe_that_was_under_way_when_we_fell_asleep_says_nothing(met: Story) -> None:
    met.hosts[HERE] = "silent"
    met.run(1.2)
    probe = met.probes[-1]
    met.now += 30
    met.table.expire(met.now)
    assert met.table.failed(probe, False, met.now) == ()
    assert met.row("bob") == ("alive", str(HERE))


def test_refusals_within_a_second_are_no_verdict_yet(met: Story) -> None:
    while met.table.peers(met.now)[0].silent_s > 0.2:
        met.run(0.1)
    met.probes.clear()
    del met.hosts[HERE]
    met.table.hints.announced(advert("bob", HERE, boot="boot2"), met.now)
    met.run(0.8)
    assert len(met.probes) >= 3
    assert met.row("bob") == ("suspect", str(HERE))
    met.run(0.5)
    assert met.row("bob") is None


def test_only_refusals_in_a_row_count(met: Story) -> None:
    met.hosts[HERE] = "silent"
    while met.row("bob") == ("alive", str(HERE)):
        met.run(0.1)
    for refused in (True, True, False, True):
        (probe,) = met.table.due(met.now, 64)
        assert met.table.failed(probe, refused, met.now) == ()
        met.now += 0.3
        met.table.expire(met.now)
    assert met.row("bob") == ("suspect", str(HERE))


def test_a_restart_elsewhere_is_followed_as_soon_as_the_old_address_refuses(met: Story) -> None:
    del met.hosts[HERE]
    met.hosts[THERE] = node_status("bob", "boot2")
    met.table.hints.announced(advert("bob", THERE, boot="boot2"), met.now)
    met.run(0.5)
    assert met.row("bob") == ("alive", str(THERE))


def test_whoever_answered_elsewhere_too_early_is_asked_again_when_the_old_address_refuses(met: Story) -> None:
    met.run(0.5)
    met.table.hints.announced(advert("bob", THERE, boot="boot2"), met.now)
    old, new = met.table.due(met.now, 64)
    assert met.table.answered(new, node_status("bob", "boot2"), 0.01, met.now) == ()
    assert kinds(met.table.failed(old, True, met.now)) == [PeerSuspected]
    assert THERE in {probe.endpoint for probe in met.table.due(met.now + 0.1, 64)}


def test_a_slow_probe_of_a_living_peer_is_not_doubled(met: Story) -> None:
    met.probes.clear()
    met.hosts[HERE] = "silent"
    while met.row("bob") == ("alive", str(HERE)):
        met.run(0.1)
    assert len([probe for probe in met.probes if probe.timeout_s == SETTINGS.probe_timeout_s]) == 1


def test_probes_sent_to_a_peer_before_it_was_gone_do_not_lengthen_the_pauses(met: Story) -> None:
    met.hosts[HERE] = "silent"
    while PeerLeft not in kinds(met.events):
        met.run(0.1)
    left_at = met.now
    met.probes.clear()
    met.run(3.5)
    del met.hosts[HERE]
    met.run(40)
    # The probes under way count as the first try.
    assert met.probes[0].started_at - left_at <= 3.2
    pauses = [round(later.started_at - earlier.started_at) for earlier, later in pairwise(met.probes)]
    assert pauses[:5] == [pytest.approx(pauses[0]), 2, 4, 8, 16]
    assert pauses[0] <= 4


def test_another_configured_address_of_a_living_peer_is_left_alone(met: Story) -> None:
    met.hosts[THERE] = node_status("bob")
    met.table.hints.configured([THERE], met.now)
    met.run(100)
    assert len([probe for probe in met.probes if probe.endpoint == THERE]) == 1


def test_a_flood_of_hints_makes_no_flood_of_probes(met: Story) -> None:
    met.probes.clear()
    for _ in range(50):
        met.table.hints.announced(advert("bob", HERE, THERE, boot="forged"), met.now)
        met.table.hints.said_goodbye(NodeId("bob"), met.now)
        met.run(0.1)
    at = [probe.endpoint for probe in met.probes]
    assert at.count(HERE) <= 5 / 0.25 + 1
    assert at.count(THERE) <= 5 / 1.0 + 1
