"""What is done when addresses of this machine come and go."""

from __future__ import annotations

import pytest

from swarm.app.network_plan import NetworkPlan, has_slept, plan_announcement, plan_network
from swarm.host.addresses import Interface

WIFI = Interface("wlan0", ("192.168.1.5",), has_default_route=True)
ROAMED = Interface("wlan0", ("192.168.7.9",), has_default_route=True)
CABLE = Interface("eth0", ("10.0.0.5",))
BRIDGE = Interface("docker0", ("172.17.0.1",))


def test_nothing_changes_while_the_address_is_there() -> None:
    assert plan_network(["192.168.1.5"], [WIFI, BRIDGE]) == NetworkPlan(None, ())
    assert plan_announcement(["192.168.1.5"], [WIFI, BRIDGE]) == ("192.168.1.5",)


def test_the_new_address_of_another_network_is_joined_and_the_old_one_left() -> None:
    assert plan_network(["192.168.1.5"], [ROAMED]) == NetworkPlan("192.168.7.9", ("192.168.1.5",))


def test_a_network_that_comes_later_is_joined_by_a_node_on_localhost() -> None:
    assert plan_network(["127.0.0.1"], [WIFI]) == NetworkPlan("192.168.1.5", ())


def test_without_any_network_nothing_is_joined() -> None:
    assert plan_network(["127.0.0.1"], []) == NetworkPlan(None, ())
    assert plan_network(["192.168.1.5"], []) == NetworkPlan(None, ("192.168.1.5",))
    assert plan_announcement(["192.168.1.5"], []) == ()


def test_an_interface_that_is_down_keeps_its_address_and_is_not_announced() -> None:
    down = Interface("eth0", ("10.0.0.5",), is_up=False)
    assert plan_network(["10.0.0.5"], [down]) == NetworkPlan(None, ())
    assert plan_announcement(["10.0.0.5"], [down]) == ()


def test_of_two_networks_both_are_announced_and_the_better_one_first() -> None:
    assert plan_network(["10.0.0.5"], [CABLE, WIFI]) == NetworkPlan("192.168.1.5", ())
    assert plan_announcement(["10.0.0.5", "192.168.1.5"], [CABLE, WIFI]) == ("192.168.1.5", "10.0.0.5")


def test_a_bridge_of_containers_is_announced_only_where_there_is_nothing_else() -> None:
    assert plan_announcement(["172.17.0.1"], [BRIDGE]) == ("172.17.0.1",)
    assert plan_announcement(["172.17.0.1", "10.0.0.5"], [BRIDGE, CABLE]) == ("10.0.0.5",)


def test_a_link_local_address_is_known_with_its_zone() -> None:
    assert plan_network(["127.0.0.1"], [Interface("eth0", ("fe80::5%eth0",))]).join == "fe80::5%eth0"
    assert plan_network(["fe80::5%eth0"], [Interface("eth0", ("fe80::5%eth0",))]) == NetworkPlan(None, ())


@pytest.mark.parametrize(
    ("elapsed_s", "elapsed_wall_s", "slept"),
    [(1.0, 1.0, False), (3.0, 3.0, False), (1.0, 60.0, True), (60.0, 60.0, True), (1.0, -3600.0, False)],
)
def test_a_jump_of_either_clock_is_a_sleep(elapsed_s: float, elapsed_wall_s: float, slept: bool) -> None:
    assert has_slept(elapsed_s, elapsed_wall_s) is slept
