"""Where a whole request goes, and which requests no vote can help."""

from dataclasses import replace

import pytest

from swarm.domain.generation import GenerationRequest, Sampling
from swarm.domain.nodes import Load, NodeStatus, PeerInfo
from swarm.federation.routes import Route, plan_fastest, vote_cannot_help
from swarm.federation.voters import Voter
from tests.unit.federation.nodes import LARGE, ask, node_status, peer_info


def names(routes: tuple[Route, ...]) -> list[str]:
    return ["here" if route is None else str(route.node) for route in routes]


def status(speed: float | None = None, requests: int = 9, load: Load | None = None) -> NodeStatus:
    return node_status("here", tokens_per_s=speed, requests=requests, load=load or Load(slots=2))


def peer(name: str, speed: float | None = None, requests: int = 9, load: Load | None = None) -> PeerInfo:
    return peer_info(name, tokens_per_s=speed, requests=requests, load=load or Load(slots=2))


def test_the_faster_node_answers_and_this_one_where_they_are_alike() -> None:
    assert names(plan_fastest(ask(), status(10.0), (peer("a", 30.0), peer("b", 20.0)))) == ["a", "b", "here"]
    assert names(plan_fastest(ask(), status(10.0), (peer("a", 11.0),))) == ["here", "a"]


def test_a_queue_makes_a_fast_node_slow() -> None:
    full = Load(running=2, waiting=6, slots=2)
    assert names(plan_fastest(ask(), status(10.0), (peer("a", 30.0, load=full),))) == ["here", "a"]


def test_a_cold_node_comes_after_a_warm_one_and_a_doubted_one_last() -> None:
    others = (peer("a", requests=0), peer("b"), peer("c", 900.0))
    routes = plan_fastest(ask(), status(1.0), others, doubted={others[2].node})
    assert names(routes) == ["b", "a", "here", "c"]


def test_only_nodes_with_the_model_are_asked() -> None:
    other = peer_info("a", model=LARGE, tokens_per_s=900.0)
    assert names(plan_fastest(ask("demo"), status(1.0), (other,))) == ["here"]


def voters(*models: object) -> tuple[Voter, ...]:
    return tuple(Voter(node_status(str(n), model=model), None, ask()) for n, model in enumerate(models))  # type: ignore[arg-type]


DEMO = node_status("x").model


@pytest.mark.parametrize(
    ("request_", "models", "expected"),
    [
        (ask(), (DEMO, DEMO), False),
        (ask(sampling=Sampling(temperature=0.0)), (DEMO, DEMO), True),
        (ask(sampling=Sampling(temperature=0.0)), (DEMO, LARGE), False),
        (ask(sampling=Sampling(max_tokens=5000)), (DEMO, LARGE), True),
        (replace(ask(), one_of_several=True), (DEMO, LARGE), True),
    ],
)
def test_a_vote_cannot_help_where_all_say_the_same_or_nobody_can(
    request_: GenerationRequest, models: tuple[object, ...], expected: bool
) -> None:
    assert vote_cannot_help(request_, voters(*models)) is expected
