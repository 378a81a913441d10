from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import pytest

from swarm.domain.errors import BackendError, PeerError, RequestError, Unavailable
from swarm.domain.federation import PeerVote
from swarm.domain.generation import GenerationRequest, Resume, TextDelta, Usage
from swarm.domain.ids import NodeId
from swarm.domain.nodes import BlockSpan, Load, NodeStatus, PeerInfo, Progress
from swarm.domain.tokens import TokenPrompt
from swarm.federation.router import Router
from swarm.federation.settings import FederationSettings
from swarm.federation.swarm import FederatedSwarm
from swarm.federation.voters import ThisNode
from tests.fakes.clock import ManualClock
from tests.fakes.peer_link import FakePeerLink
from tests.fakes.text_source import ScriptedSource
from tests.unit.federation.nodes import LARGE, ask, node_status, peer_info

FULL = Load(running=1, waiting=2, slots=1)


@dataclass
class Bench:
    status: NodeStatus = field(default_factory=lambda: node_status("here"))
    peers: tuple[PeerInfo, ...] = ()
    settings: FederationSettings = field(default_factory=FederationSettings)
    here: ScriptedSource = field(default_factory=lambda: ScriptedSource(node=NodeId("here")))

    def __post_init__(self) -> None:
        clock = self.clock = ManualClock()
        self.link = FakePeerLink(clock)
        for peer in self.peers:
            self.link.sources[peer.node] = ScriptedSource(node=peer.node)
            self.link.votes[peer.node] = (vote(peer.node),)
        this = ThisNode(self.here, self.votes, lambda: self.status)
        swarm = FederatedSwarm(this, lambda: self.peers, self.link, self.settings, clock)
        self.router = Router(this, lambda: self.peers, self.link, swarm, self.settings, self.clock)

    async def votes(self, request: GenerationRequest, instances: int) -> tuple[PeerVote, ...]:
        return (vote("here"),) * instances

    async def read(self, request: GenerationRequest) -> list[TextDelta]:
        return [delta async for delta in self.router.stream(request)]

    async def answered_by(self, request: GenerationRequest) -> tuple[str, str]:
        last = (await self.read(request))[-1]
        assert last.provenance is not None
        return last.provenance.route, last.provenance.nodes[0]


def vote(node: str) -> PeerVote:
    return PeerVote(NodeId(node), "The answer is 70.", "stop", 6, -0.1, "demo", "digest-demo", 0.5)


async def test_a_free_slot_here_answers_here() -> None:
    assert await Bench(peers=(peer_info("a"),)).answered_by(ask()) == ("local", "here")


async def test_a_busy_node_sends_the_request_to_the_least_busy_peer() -> None:
    peers = (peer_info("a", load=Load(running=1, waiting=1)), peer_info("b"), peer_info("c", load=FULL))
    bench = Bench(node_status("here", load=FULL), peers)
    assert await bench.answered_by(ask()) == ("local", "b")
    assert bench.link.sources[NodeId("b")].requests[0].alone


async def test_a_request_queues_here_where_peers_are_no_less_busy() -> None:
    bench = Bench(node_status("here", load=FULL), (peer_info("a", load=Load(1, 3)),))
    assert await bench.answered_by(ask()) == ("local", "here")


@pytest.mark.parametrize("error", [PeerError("gone"), BackendError("crashed"), Unavailable("full", busy=True)])
async def test_before_the_first_token_the_next_route_is_tried(error) -> None:
    bench = Bench(node_status("here", load=FULL), (peer_info("a"), peer_info("b", round_trip_s=0.5)))
    bench.link.sources[NodeId("a")].error = error
    assert await bench.answered_by(ask()) == ("local", "b")
    bench.link.sources[NodeId("b")].error = error
    assert await bench.answered_by(ask()) == ("local", "here")


async def test_an_answer_whose_tokens_are_not_known_cannot_go_on_elsewhere() -> None:
    bench = Bench(peers=(peer_info("a"),))
    bench.here.error, bench.here.error_after, bench.here.is_resumable = BackendError("crashed"), 1, False
    with pytest.raises(BackendError):
        await bench.read(ask())
    assert not bench.link.sources[NodeId("a")].requests


@pytest.mark.parametrize("error", [BackendError("crashed"), PeerError("gone")])
async def test_a_node_that_fails_in_the_middle_is_followed_by_another(error) -> None:
    bench = Bench(peers=(peer_info("a", whole=True),))
    bench.here.error, bench.here.error_after = error, 1
    deltas = await bench.read(ask())
    assert "".join(delta.text for delta in deltas) == "The answer is 70."
    assert [delta.token_ids for delta in deltas] == [(0,), (1,), ()]
    last = deltas[-1]
    assert last.usage == Usage(5, 2)
    assert last.provenance is not None
    assert last.provenance.nodes == ("here", "a")
    (there,) = bench.link.sources[NodeId("a")].requests
    assert (there.resume, there.alone) == (Resume((0,), "digest-demo"), True)
    assert there.sampling.seed is not None
    assert there.sampling.seed == bench.here.requests[0].sampling.seed


async def test_a_peer_that_fails_in_the_middle_is_followed_by_a_second_and_that_by_this_node() -> None:
    bench = Bench(node_status("here", load=FULL), (peer_info("a"), peer_info("b", round_trip_s=0.5)))
    bench.here.pieces = ("1", "2", "3")
    for at, name in enumerate("ab"):
        source = bench.link.sources[NodeId(name)]
        source.pieces, source.error, source.error_after = ("1", "2", "3"), PeerError("gone"), at + 1
    deltas = await bench.read(ask())
    assert "".join(delta.text for delta in deltas) == "123"
    assert deltas[-1].provenance is not None
    assert deltas[-1].provenance.nodes == ("a", "b", "here")


async def test_blocks_that_are_missing_here_are_missing_for_all_but_those_who_hold_the_whole() -> None:
    error = Unavailable("Blocks 3:6 are served by no node")
    bench = Bench(peers=(peer_info("part"),))
    bench.here.error, bench.here.error_after = error, 1
    with pytest.raises(Unavailable, match="3:6"):
        await bench.read(ask())
    bench = Bench(peers=(peer_info("part"), peer_info("whole", whole=True, round_trip_s=1.0)))
    bench.here.error, bench.here.error_after = error, 1
    deltas = await bench.read(ask())
    assert deltas[-1].provenance is not None
    assert deltas[-1].provenance.nodes == ("here", "whole")


async def test_a_peer_with_another_model_does_not_go_on() -> None:
    bench = Bench(node_status("here"), (peer_info("a", model=LARGE, whole=True),))
    bench.here.error, bench.here.error_after = Unavailable("blocks"), 1
    with pytest.raises(Unavailable, match="blocks"):
        await bench.read(ask())
    assert not bench.link.sources[NodeId("a")].requests


async def test_where_nobody_else_can_this_node_goes_on_when_its_worker_is_back() -> None:
    bench = Bench()
    bench.here.error, bench.here.error_after = BackendError("died"), 1
    reading = asyncio.create_task(bench.read(ask()))
    await bench.clock.advance(0.1)
    bench.here.error, bench.status = None, node_status("here", "starting", None)
    await bench.clock.advance(10)
    bench.status = node_status("here", "waiting", missing=(BlockSpan(3, 6),))
    await bench.clock.advance(3)
    assert not reading.done()
    bench.status = node_status("here")
    await bench.clock.advance(0.5)
    assert "".join(delta.text for delta in await reading) == "The answer is 70."
    assert [request.resume for request in bench.here.requests] == [None, Resume((0,), "digest-demo")]


async def test_it_is_not_waited_for_longer_than_set_nor_for_a_peers_request() -> None:
    bench = Bench(settings=FederationSettings(resume_s=5))
    bench.here.error, bench.here.error_after = BackendError("died"), 1
    reading = asyncio.create_task(bench.read(ask()))
    await bench.clock.advance(0.1)
    bench.status = node_status("here", "starting", None)
    await bench.clock.advance(5.5)
    with pytest.raises(BackendError):
        await reading
    bench.status = node_status("here")
    with pytest.raises(BackendError):
        await bench.read(ask(alone=True))


async def test_an_answer_that_kills_whoever_works_on_it_does_not_go_through_the_whole_swarm() -> None:
    bench = Bench(peers=tuple(peer_info(f"p{number}", whole=True) for number in range(9)))
    bench.here.error, bench.here.error_after = BackendError("died"), 1
    for source in bench.link.sources.values():
        source.error, source.error_after = PeerError("died"), 1
    with pytest.raises(PeerError):
        await bench.read(ask())
    assert sum(len(source.requests) for source in bench.link.sources.values()) == 2


async def test_where_every_route_fails_each_is_named() -> None:
    bench = Bench(peers=(peer_info("a"),))
    bench.here.error = BackendError("crashed")
    bench.link.sources[NodeId("a")].error = PeerError("hung up")
    with pytest.raises(Unavailable, match="here: crashed; a: hung up"):
        await bench.read(ask())


async def test_a_request_for_this_node_alone_never_leaves_it() -> None:
    bench = Bench(node_status("here", load=FULL), (peer_info("a"),), FederationSettings(enabled=True))
    assert await bench.answered_by(ask(alone=True, strategy="weighted_vote")) == ("local", "here")
    with pytest.raises(Unavailable):
        await Bench(node_status("here", "loading"), bench.peers).read(ask(alone=True))
    with pytest.raises(RequestError):
        await Bench(peers=(peer_info("a", model=LARGE),)).read(ask("large", alone=True))


@pytest.mark.parametrize(
    ("enabled", "strategy", "route"),
    [(True, None, "federation"), (False, "best_of_n", "federation"), (False, None, "local")],
)
async def test_a_vote_is_held_where_settings_or_request_ask_for_it(enabled, strategy, route) -> None:
    bench = Bench(peers=(peer_info("a"),), settings=FederationSettings(enabled=enabled))
    assert (await bench.answered_by(ask(strategy=strategy)))[0] == route


async def test_a_vote_needs_another_node_or_more_than_one_candidate() -> None:
    assert (await Bench(settings=FederationSettings(enabled=True)).answered_by(ask()))[0] == "local"
    several = Bench(settings=FederationSettings(enabled=True, instances=3))
    assert (await several.answered_by(ask()))[0] == "federation"


async def test_a_named_model_is_answered_where_it_is_served() -> None:
    bench = Bench(peers=(peer_info("a", model=LARGE),))
    assert await bench.answered_by(ask("large")) == ("local", "a")
    assert await bench.answered_by(ask("demo")) == ("local", "here")


async def test_without_a_named_model_a_smaller_one_elsewhere_does_not_stand_in() -> None:
    bench = Bench(node_status("here", load=FULL, model=LARGE), (peer_info("a"),))
    assert await bench.answered_by(ask()) == ("local", "here")


async def test_a_model_that_nobody_has_is_not_found_and_the_others_are_named() -> None:
    bench = Bench(peers=(peer_info("a", model=LARGE),))
    with pytest.raises(RequestError, match="'gpt-4o' does not exist; served here: demo, large") as caught:
        await bench.read(ask("gpt-4o"))
    assert (caught.value.code, caught.value.status, caught.value.param) == ("model_not_found", 404, "model")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (
            node_status("here", "waiting", missing=(BlockSpan(3, 6),)),
            "blocks 3:6 are not served by anyone; start one more node with --blocks 3:6",
        ),
        (
            node_status("here", "waiting", missing=(BlockSpan(0, 2), BlockSpan(5, 6))),
            "blocks 0:2, 5:6 are not served by anyone; start 2 more nodes with --blocks 0:2 and --blocks 5:6",
        ),
        (node_status("here", "loading", None, progress=Progress("reading weights", 0.42)), "reading weights, 42% done"),
        (node_status("here", "starting", None), "not loaded yet"),
        (node_status("here", "failed", None, problem="no such folder: /m"), "could not be loaded: no such folder: /m"),
    ],
)
async def test_where_nobody_can_answer_the_error_says_what_is_missing(status, words) -> None:
    with pytest.raises(Unavailable) as caught:
        await Bench(status).read(ask("demo" if status.model else None))
    assert words in str(caught.value)


async def test_while_the_own_model_is_not_known_yet_no_model_is_unknown() -> None:
    with pytest.raises(Unavailable):
        await Bench(node_status("here", "loading", None)).read(ask("demo"))


async def test_what_is_missing_at_the_nearest_peer_is_told_with_its_name() -> None:
    peer = peer_info("oven", state="loading", progress=Progress("reading weights", 0.5))
    with pytest.raises(Unavailable, match=r"on oven: .*reading weights, 50% done"):
        await Bench(node_status("here", "failed", None, problem="x"), (peer,)).read(ask())


async def test_suspects_get_no_request() -> None:
    bench = Bench(node_status("here", load=FULL), (replace(peer_info("a"), standing="suspect"),))
    assert await bench.answered_by(ask()) == ("local", "here")


async def test_closing_early_closes_the_route() -> None:
    bench = Bench()
    async with aclosing(bench.router.stream(ask())) as deltas:
        async for _ in deltas:
            break
    assert bench.here.open == 0


async def test_token_ids_are_put_to_nodes_of_the_same_model_only() -> None:
    bench = Bench(peers=(peer_info("a"), peer_info("b", model=LARGE)))
    voters = bench.router._federation.voters(ask(prompt=TokenPrompt((1, 2))))
    assert [voter.node for voter in voters] == ["here", "a"]


async def test_an_echo_is_answered_by_one_node_and_no_vote_can_be_asked_for_it() -> None:
    bench = Bench(peers=(peer_info("a"), peer_info("b", model=LARGE)), settings=FederationSettings(enabled=True))
    assert await bench.answered_by(ask(echo=True)) == ("local", "here")
    with pytest.raises(RequestError, match="echo"):
        await bench.read(ask(echo=True, strategy="mbr"))


async def test_what_was_echoed_is_not_echoed_again_by_the_node_that_goes_on() -> None:
    bench = Bench(peers=(peer_info("a", whole=True),))
    bench.here.error, bench.here.error_after = BackendError("crashed"), 1
    await bench.read(ask(echo=True))
    assert [there.echo for there in bench.link.sources[NodeId("a")].requests] == [False]
