"""Who goes on looking, who asks the hub, and who waits for the one that does."""

from dataclasses import replace

from swarm.domain.ids import NodeId
from swarm.domain.nodes import PeerInfo
from swarm.weights.search import next_step
from tests.fakes.api_node import READY, peer

ME = NodeId("m")
LOADING = replace(READY, state="loading", model=None)


def other(node: str, **changes: object) -> PeerInfo:
    return peer(node, node, status=replace(LOADING, node=NodeId(node), **changes))  # type: ignore[arg-type]


def test_it_is_looked_for_a_while_and_then_the_hub_is_asked() -> None:
    assert next_step("m/x", ME, (), 4.9, 5.0) == ("look", None)
    assert next_step("m/x", ME, (), 5.0, 5.0) == ("hub", None)
    assert next_step("m/x", ME, (peer("a", "a"),), 5.0, 5.0) == ("hub", None)


def test_a_node_that_still_loads_may_have_it() -> None:
    assert next_step("m/x", ME, (other("a"),), 60.0, 5.0) == ("look", "a")
    assert next_step("m/x", ME, (other("a", problem="it failed"),), 60.0, 5.0) == ("hub", None)
    assert next_step("m/x", ME, (replace(other("a"), standing="suspect"),), 60.0, 5.0) == ("hub", None)


def test_of_those_who_all_lack_it_one_asks_the_hub_and_the_others_wait() -> None:
    seekers = (other("a", wanted="m/x"), other("z", wanted="m/x"))
    assert next_step("m/x", ME, seekers, 60.0, 5.0) == ("leave_to_other", "a")
    assert next_step("m/x", NodeId("0"), seekers, 60.0, 5.0) == ("hub", None)
    assert next_step("m/x", ME, (other("z", wanted="m/x"),), 60.0, 5.0) == ("hub", None)


def test_one_that_asked_the_hub_in_vain_lets_the_next_one_try() -> None:
    assert next_step("m/x", ME, (other("a", wanted="m/x", problem="no internet"),), 60.0, 5.0) == ("hub", None)


def test_one_that_may_not_ask_the_hub_waits_for_those_who_do_and_gives_up_without_them() -> None:
    assert next_step("m/x", None, (other("z", wanted="m/x"),), 60.0, 5.0) == ("leave_to_other", "z")
    assert next_step("m/x", None, (), 60.0, 5.0) == ("hub", None)
