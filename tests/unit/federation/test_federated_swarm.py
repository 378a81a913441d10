from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import pytest

from swarm.domain.errors import BackendError, PeerError, RequestError, Unavailable
from swarm.domain.federation import PeerVote
from swarm.domain.generation import GenerationRequest, Sampling, TextDelta
from swarm.domain.ids import NodeId
from swarm.domain.nodes import NodeStatus, PeerInfo
from swarm.federation.memory import VoteMemory
from swarm.federation.settings import FederationSettings
from swarm.federation.swarm import FederatedSwarm
from swarm.federation.trust.reputation import Examined
from swarm.federation.voters import ThisNode
from tests.fakes.clock import ManualClock, settle
from tests.fakes.peer_link import FakePeerLink
from tests.fakes.text_source import ScriptedSource
from tests.unit.federation.nodes import LARGE, ask, node_status, peer_info


def vote(node: str, text: str = "The answer is 70.", logprob: float = -0.2) -> PeerVote:
    return PeerVote(NodeId(node), text, "stop", 6, logprob, "demo", "digest-demo", 0.5, prompt_tokens=5)


@dataclass
class Bench:
    """A swarm of this node, `here`, and peers, in which only the test moves time."""

    peers: tuple[PeerInfo, ...] = tuple(peer_info(name) for name in ("a", "b"))
    status: NodeStatus = field(default_factory=lambda: node_status("here"))
    settings: FederationSettings = field(default_factory=FederationSettings)
    clock: ManualClock = field(default_factory=ManualClock)
    local: tuple[PeerVote, ...] | Exception = (vote("here"),)
    local_delay_s: float = 0.0
    local_requests: list[GenerationRequest] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.link = FakePeerLink(self.clock)
        self.source = ScriptedSource(clock=self.clock, node=NodeId("here"))
        this = ThisNode(self.source, self.votes, lambda: self.status)
        self.swarm = FederatedSwarm(this, lambda: self.peers, self.link, self.settings, self.clock)

    async def votes(self, request: GenerationRequest, instances: int) -> tuple[PeerVote, ...]:
        self.local_requests.append(request)
        if self.local_delay_s:
            await self.clock.sleep(self.local_delay_s)
        if isinstance(self.local, Exception):
            raise self.local
        return self.local

    async def after(self, seconds: float, request: GenerationRequest | None = None):
        """The result where the vote ends within `seconds`, else None."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.swarm.generate_with_federation(request or ask()))
            await self.clock.advance(seconds)
            await settle()
            if not task.done():
                task.cancel()
        return None if task.cancelled() else task.result()


def reasons(result) -> dict[str, str]:
    return {ballot.node: ballot.reason for ballot in result.ballots if not ballot.valid}


async def test_two_of_three_win_and_everybody_has_a_ballot() -> None:
    bench = Bench(local=(vote("here", "The answer is 71.", 0.0),))
    bench.link.votes = {NodeId("a"): (vote("a"),), NodeId("b"): (vote("b"),)}
    result = await bench.after(0)
    assert result.winner.text == "The answer is 70."
    assert {ballot.node for ballot in result.ballots} == {"here", "a", "b"}
    assert result.decided


async def test_every_node_gets_its_own_seed_and_the_same_ones_again() -> None:
    seeds = []
    for _ in range(2):
        bench = Bench()
        await bench.after(100, ask(sampling=Sampling(temperature=0.0, seed=7)))
        asked = [bench.local_requests[0], *bench.link.asked.values()]
        assert all(request.alone and request.sampling.temperature == 0.0 for request in asked)
        seeds.append([request.sampling.seed for request in asked])
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0])) == 3


async def test_once_decided_the_others_are_stopped_and_not_waited_for() -> None:
    bench = Bench()
    bench.link.votes, bench.link.silent = {NodeId("a"): (vote("a"),)}, {NodeId("b")}
    result = await bench.after(0)
    assert "already decided" in reasons(result)["b"]
    assert bench.link.cancelled == ["b"]
    assert bench.clock.sleepers == 0


async def test_a_silent_peer_is_given_up_after_twice_the_time_of_the_others() -> None:
    bench = Bench(local_delay_s=5.0, peers=(peer_info("a"),))
    bench.link.silent = {NodeId("a")}
    assert await bench.after(9.9) is None
    bench = Bench(local_delay_s=5.0, peers=(peer_info("a"),))
    bench.link.silent = {NodeId("a")}
    result = await bench.after(10.1)
    assert result.winner.node == "here"
    assert "only one of the nodes asked" in result.reason
    assert "others needed 5.0 s" in reasons(result)["a"]


async def test_a_hurried_peer_cannot_shut_this_node_out() -> None:
    bench = Bench(local_delay_s=20.0, peers=(peer_info("a"),))
    bench.link.votes = {NodeId("a"): (vote("a", "The answer is 666."),)}
    assert (await bench.after(21)).winner.node == "here"


async def test_nobody_is_waited_for_longer_than_the_deadline() -> None:
    bench = Bench(settings=FederationSettings(deadline_s=30.0), local=PeerError("x"))
    bench.link.silent = {NodeId("a"), NodeId("b")}
    with pytest.raises(ExceptionGroup) as caught:
        await bench.after(31)
    assert caught.group_contains(Unavailable, match="no answer within 30 s")
    assert sorted(bench.link.cancelled) == ["a", "b"]


async def test_a_peer_that_fails_becomes_an_invalid_ballot() -> None:
    bench = Bench()
    bench.link.votes, bench.link.errors = {NodeId("a"): (vote("a"),)}, {NodeId("b"): PeerError("b hung up")}
    bench.link.delays_s = {NodeId("a"): 1.0}
    assert reasons(await bench.after(1.1)) == {"b": "b hung up"}


async def test_without_peers_this_node_answers_and_the_reason_says_so() -> None:
    result = await Bench(peers=()).after(0)
    assert result.winner.node == "here"
    assert "no other node was there" in result.reason


@pytest.mark.parametrize("state", ["loading", "failed"])
async def test_peers_answer_where_this_node_cannot(state) -> None:
    bench = Bench(status=node_status("here", state))
    bench.link.votes = {NodeId("a"): (vote("a"),), NodeId("b"): (vote("b"),)}
    assert (await bench.after(0)).winner.node in ("a", "b")
    assert not bench.local_requests


async def test_a_vote_counts_for_the_node_that_was_asked_whatever_it_says() -> None:
    bench = Bench(local=(vote("here", "The answer is 70."),), peers=(peer_info("a"),))
    bench.link.votes = {NodeId("a"): (vote("here", "The answer is 666.", 0.0),)}
    result = await bench.after(0)
    assert {ballot.node for ballot in result.ballots} == {"here", "a"}


async def test_a_request_that_can_never_succeed_is_refused_as_such() -> None:
    bench = Bench(local=RequestError("The prompt is too long.", param="messages"))
    with pytest.raises(ExceptionGroup) as caught:
        await bench.after(0)
    assert caught.group_contains(RequestError, match="too long")


async def test_where_all_are_busy_the_caller_is_told_to_come_back() -> None:
    bench = Bench(peers=(), local=Unavailable("full", retry_after_s=7.0, busy=True))
    with pytest.raises(ExceptionGroup) as caught:
        await bench.after(0)
    assert caught.group_contains(Unavailable, match="full")


async def test_peers_with_the_same_model_are_asked_first_and_no_more_than_the_limit() -> None:
    peers = (peer_info("x", model=LARGE), *(peer_info(name) for name in "abc"))
    bench = Bench(peers=peers, settings=FederationSettings(fan_out=3))
    voters = bench.swarm.voters(ask("demo"))
    assert [voter.node for voter in voters] == ["here", "a", "b", "c"]
    only = bench.swarm.voters(ask("large"))
    assert [(voter.node, voter.request.model) for voter in only][1] == ("x", "large")
    assert only[0].request.model is None


async def test_suspects_and_those_not_ready_are_not_asked() -> None:
    suspect = replace(peer_info("a"), standing="suspect")
    other_protocol = replace(peer_info("c"), problem="speaks protocol 2")
    bench = Bench(peers=(suspect, peer_info("b", state="loading"), other_protocol))
    assert [voter.node for voter in bench.swarm.voters(ask())] == ["here"]


async def test_the_winner_is_streamed_in_pieces_and_the_last_carries_the_decision() -> None:
    text = "35 + 35 = 70, " * 10 + "The answer is 70."
    long = replace(vote("here", text), tokens=61)
    bench = Bench(peers=(), local=(long,))
    deltas = [delta async for delta in bench.swarm.stream(ask())]
    assert "".join(delta.text for delta in deltas) == text
    assert max(len(delta.text) for delta in deltas) <= 40
    assert sum(delta.tokens for delta in deltas) == 61
    assert [delta.finish_reason for delta in deltas] == [None] * (len(deltas) - 1) + ["stop"]
    last = deltas[-1]
    assert last.usage is not None
    assert last.usage.completion_tokens == 61
    assert last.provenance is not None
    assert last.provenance.route == "federation"
    assert last.provenance.decision is not None


async def test_a_stream_says_soon_that_it_was_taken_and_then_how_the_vote_gets_on() -> None:
    bench = Bench(local_delay_s=3.0)
    bench.link.votes = {NodeId("a"): (vote("a", "The answer is 71."),), NodeId("b"): (vote("b"),)}
    bench.link.delays_s = {NodeId("a"): 1.0, NodeId("b"): 2.0}
    told = [delta.progress for delta in await read(bench) if delta.progress]
    said = ("0/3 answered, leader 0", "1/3 answered, leader 1", "2/3 answered, leader 1")
    assert told[:3] == [f"swarm {words}" for words in said]
    assert bench.clock.sleepers == 0


async def test_a_refusal_by_all_comes_before_any_word() -> None:
    bench = Bench(local=Unavailable("full", busy=True))
    bench.link.errors = {NodeId("a"): PeerError("x"), NodeId("b"): PeerError("y")}
    with pytest.raises(Unavailable):
        [delta async for delta in bench.swarm.stream(ask())]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_nonsense_in_a_hurry_does_not_end_the_wait_for_sense() -> None:
    bench = Bench(local_delay_s=20.0, peers=tuple(peer_info(name) for name in "abc"))
    bench.link.votes = {NodeId(name): (vote(name, ""),) for name in "abc"}
    assert (await bench.after(21)).winner.node == "here"


def judged_bench() -> Bench:
    """Three that disagree."""
    bench = Bench(settings=FederationSettings(strategy="best_of_n"), local=(vote("here", "The answer is 1."),))
    bench.link.votes = {NodeId("a"): (vote("a", "The answer is 2."),), NodeId("b"): (vote("b", "The answer is 3."),)}
    return bench


async def test_where_no_two_agree_everybody_judges_the_others_answers() -> None:
    bench = judged_bench()
    bench.link.likes = {NodeId("a"): {}, NodeId("b"): {}}
    await bench.after(0)
    assert {node: set(texts) for node, texts in bench.link.scored.items()} == {
        "a": {"The answer is 1.", "The answer is 3."},
        "b": {"The answer is 1.", "The answer is 2."},
    }


async def test_judges_are_not_waited_for_and_not_asked_where_two_agree() -> None:
    bench = judged_bench()
    bench.link.likes = {NodeId("a"): {}, NodeId("b"): {}}
    bench.link.silent_judges = {NodeId("b")}
    assert await bench.after(2.5) is not None
    assert bench.clock.sleepers == 0
    bench = judged_bench()
    bench.link.votes[NodeId("b")] = (vote("b", "The answer is 1."),)
    await bench.after(0)
    assert not bench.link.scored


async def test_what_a_vote_was_like_is_remembered_without_its_words() -> None:
    memory = VoteMemory.empty(lambda: NodeId("here"), FederationSettings(), ManualClock())
    bench = Bench(local_delay_s=1.0)
    bench.swarm = FederatedSwarm(
        ThisNode(bench.source, bench.votes, lambda: bench.status),
        lambda: bench.peers,
        bench.link,
        bench.settings,
        bench.clock,
        memory,
    )
    bench.link.votes = {NodeId("a"): (vote("a"),), NodeId("b"): (vote("b", "The answer is 71."),)}
    await bench.after(1.1)
    (record,) = memory.decisions.newest_first()
    assert (record.request, record.winner in ("here", "a"), record.prompt) == ("request-1", True, None)
    assert "70" not in repr([replace(ballot, latency_s=0.0) for ballot in record.ballots])
    keys = {ballot.node: ballot.key for ballot in record.ballots}
    assert keys["here"] == keys["a"] != keys["b"]
    assert memory.reputation.record(NodeId("b")).disagreed == 1


async def test_a_cancelled_vote_stops_everybody() -> None:
    bench = Bench(local_delay_s=100.0)
    bench.link.silent = {NodeId("a"), NodeId("b")}
    assert await bench.after(1) is None
    assert sorted(bench.link.cancelled) == ["a", "b"]
    assert bench.clock.sleepers == 0


def first_valid_bench(**sources: ScriptedSource) -> Bench:
    bench = Bench(settings=FederationSettings(strategy="first_valid"))
    bench.link.sources = {NodeId(name): source for name, source in sources.items()}
    return bench


async def read(bench: Bench, seconds: float = 100.0) -> list[TextDelta]:
    async def all_of_it() -> list[TextDelta]:
        return [delta async for delta in bench.swarm.stream(ask())]

    async with asyncio.TaskGroup() as group:
        task = group.create_task(all_of_it())
        await bench.clock.advance(seconds)
    return task.result()


def ballots(deltas: list[TextDelta]) -> dict[str, str]:
    assert deltas[-1].provenance is not None
    assert deltas[-1].provenance.decision is not None
    return {ballot.node: ballot.reason for ballot in deltas[-1].provenance.decision.ballots}


async def test_first_valid_asks_this_node_and_nobody_else_while_it_is_quick() -> None:
    bench = first_valid_bench(a=ScriptedSource())
    deltas = await read(bench)
    assert "".join(delta.text for delta in deltas) == "The answer is 70."
    assert ballots(deltas) == {"here": "the first to begin"}
    assert not bench.link.sources[NodeId("a")].requests


async def test_first_valid_asks_the_next_after_a_silence_and_stops_the_loser() -> None:
    bench = first_valid_bench(a=ScriptedSource(pieces=("It is ", "7", "0."), node=NodeId("a")))
    bench.source.delay_s = 50.0
    deltas = await read(bench)
    assert "".join(delta.text for delta in deltas) == "It is 70."
    assert ballots(deltas) == {"a": "the first to begin", "here": "another one began first"}
    assert bench.source.open == 0
    assert bench.clock.sleepers == 0


async def test_first_valid_goes_on_silently_where_one_fails_or_says_nothing() -> None:
    bench = first_valid_bench(a=ScriptedSource(pieces=("", " ")), b=ScriptedSource(pieces=("70",)))
    bench.source.error = BackendError("the worker crashed")
    deltas = await read(bench, 0.1)
    assert ballots(deltas) == {
        "b": "the first to begin",
        "here": "the worker crashed",
        "a": "the answer is empty",
    }


async def test_first_valid_reports_a_failure_after_the_first_word() -> None:
    bench = first_valid_bench(a=ScriptedSource())
    bench.source.error, bench.source.error_after = BackendError("the worker crashed"), 1
    with pytest.raises(BackendError):
        [delta async for delta in bench.swarm.stream(ask())]
    assert bench.source.open == 0


async def test_first_valid_fails_where_everybody_does_or_is_silent() -> None:
    bench = first_valid_bench()
    bench.source.error = PeerError("x")
    with pytest.raises(Unavailable, match="refused the connection"):
        [delta async for delta in bench.swarm.stream(ask())]
    bench = first_valid_bench(
        a=ScriptedSource(clock=ManualClock(), delay_s=9e9), b=ScriptedSource(clock=ManualClock(), delay_s=9e9)
    )
    bench.source.delay_s = 9e9
    with pytest.raises(ExceptionGroup) as caught:
        await read(bench)
    assert caught.group_contains(Unavailable, match="No node began to answer within 60 s")


async def test_closing_a_first_valid_stream_early_stops_everything() -> None:
    bench = first_valid_bench(a=ScriptedSource())
    async with aclosing(bench.swarm.stream(ask())) as deltas:
        async for _ in deltas:
            break
    assert bench.source.open == 0
    assert bench.clock.sleepers == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


def knowing_bench(right: dict[str, bool]) -> Bench:
    """A record of thirty examinations in which these were right or wrong."""
    bench = Bench(local=(vote("here", "The answer is 1."),))
    bench.link.votes = {NodeId(name): (vote(name),) for name in ("a", "b")}
    memory = VoteMemory.empty(lambda: NodeId("here"), FederationSettings(), ManualClock())
    for _ in range(30):
        memory.reputation.examined({NodeId(node): Examined(is_right, node) for node, is_right in right.items()})
    this = ThisNode(bench.source, bench.votes, lambda: bench.status)
    bench.swarm = FederatedSwarm(this, lambda: bench.peers, bench.link, bench.settings, bench.clock, memory)
    return bench


async def test_where_one_member_is_better_than_a_vote_it_answers_alone_and_that_is_said() -> None:
    bench = knowing_bench({"here": True, "a": False, "b": False})
    result = await bench.after(0)
    assert result.winner.node == "here"
    assert "answers alone" in result.reason
    assert not bench.link.asked
    assert set(reasons(result)) == {"a", "b"}


async def test_where_the_best_member_fails_all_are_asked() -> None:
    bench = knowing_bench({"here": True, "a": False, "b": False})
    bench.local = BackendError("the worker crashed")
    result = await bench.after(0)
    assert result.winner.node in ("a", "b")


async def test_liars_with_a_record_are_outvoted_though_they_are_more() -> None:
    bench = knowing_bench({"here": True, "a": False, "b": False})
    bench.settings = FederationSettings(strategy="abstain")
    bench.swarm._settings = bench.settings
    result = await bench.after(0)
    assert result.winner.text == "The answer is 1."
