"""When questions with known answers are asked, of whom, and what comes of it."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import replace

from swarm.domain.federation import PeerVote
from swarm.domain.generation import GenerationRequest
from swarm.domain.ids import NodeId
from swarm.domain.nodes import Load
from swarm.federation.trust.examiner import VOTES_PER_EXAMINATION, Examiner, Pace
from swarm.federation.trust.reliability import Anchors
from swarm.federation.trust.reputation import Reputation
from swarm.federation.voters import ThisNode
from tests.fakes.clock import ManualClock
from tests.fakes.peer_link import FakePeerLink
from tests.unit.federation.nodes import ask, node_status, peer_info

HERE = NodeId("here")


class Knowing(FakePeerLink):
    """Peers that say what they are told to say of each question."""

    def __init__(self, clock: ManualClock, says: dict[str, Callable[[str], str]]) -> None:
        super().__init__(clock)
        self.says = says
        self.answer = ""

    async def request_vote(self, peer, request, timeout_s):
        self.asked[peer.node] = request
        return (vote(peer.node, self.says[peer.node](self.answer)),)


def vote(node: str, text: str) -> PeerVote:
    return PeerVote(NodeId(node), text, "stop", 6, -0.2, "demo", "digest-demo", 0.5)


class Bench:
    def __init__(self, load: Load | None = None, every_s: float = 60.0) -> None:
        self.clock = ManualClock()
        self.link = Knowing(self.clock, {"good": lambda answer: answer, "liar": lambda _: "The answer is 666."})
        self.status = node_status("here", load=load or Load(slots=1))
        self.peers = [peer_info("good"), peer_info("liar")]
        self.reputation = Reputation(lambda: Anchors("open", HERE), self.clock.wall)
        this = ThisNode(None, self.votes, lambda: self.status)  # type: ignore[arg-type]
        ids = (f"id{number}" for number in itertools.count())
        pace = Pace(every_s, 6, 30.0)
        self.examiner = Examiner(
            this, lambda: tuple(self.peers), self.link, self.reputation, pace, self.clock, lambda: next(ids)
        )
        self.examiner_asks: list[GenerationRequest] = []

    async def votes(self, request: GenerationRequest, instances: int) -> tuple[PeerVote, ...]:
        self.examiner_asks.append(request)
        return (vote("here", self.link.answer),)

    async def run(self, seconds: float) -> None:
        running = asyncio.create_task(self.examiner.run())
        await self.clock.advance(seconds)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def knows_everything(bench: Bench, monkeypatch) -> None:
    """The link and this node are told the right answer of whatever is asked next."""
    from swarm.federation.trust import examiner as module

    def made(*arguments):
        request, asked = original(*arguments)
        bench.link.answer = asked.worked
        return request, asked

    original = module.examination
    monkeypatch.setattr(module, "examination", made)


async def test_the_right_ones_gain_and_the_liar_loses(monkeypatch) -> None:
    bench = Bench()
    knows_everything(bench, monkeypatch)
    for _ in range(10):
        await bench.examiner.examine()
    weights = bench.reputation.reliability([HERE, NodeId("good"), NodeId("liar")])
    assert weights["liar"] < 0.25 < 0.8 < weights["good"]


async def test_nobody_is_examined_before_the_first_vote_and_often_afterwards(monkeypatch) -> None:
    bench = Bench()
    knows_everything(bench, monkeypatch)
    await bench.run(3600)
    assert not bench.examiner_asks
    bench.examiner.note(ask())
    await bench.run(3600)
    assert 30 < len(bench.examiner_asks) < 300


async def test_a_busy_node_examines_only_after_many_votes(monkeypatch) -> None:
    bench = Bench(load=Load(running=1, slots=1))
    knows_everything(bench, monkeypatch)
    bench.examiner.note(ask())
    await bench.run(600)
    assert not bench.examiner_asks
    for _ in range(VOTES_PER_EXAMINATION):
        bench.examiner.note(ask())
    await bench.run(600)
    assert len(bench.examiner_asks) == 1


async def test_zero_asks_none_and_busy_peers_are_left_alone(monkeypatch) -> None:
    bench = Bench(every_s=0.0)
    bench.examiner.note(ask())
    await bench.run(100_000)
    assert not bench.examiner_asks
    bench = Bench()
    knows_everything(bench, monkeypatch)
    busy = bench.peers[0]
    assert busy.status
    bench.peers[0] = replace(busy, status=replace(busy.status, load=Load(running=1, slots=1)))
    await bench.examiner.examine()
    assert set(bench.link.asked) == {"liar"}
