"""What waiting costs: hedged first answers against a single peer, and votes that stop when they are decided.

    python scripts/bench_hedging.py [--requests 20000] [--votes 4000]

The swarm's own code over peers that are none: their delays are drawn, and time is virtual, so that hours pass in
seconds and the machine's speed is no matter. First words take lognormal time (median 1 s, sigma 0.5); one call in
twenty stalls for ten times as long, and three in a hundred fail. Voters take lognormal time and are right in 70 % of
cases, on questions of unequal difficulty; 35 % of wrong answers share one attractive error.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import selectors
import statistics
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from swarm.domain.errors import PeerError, SwarmError
from swarm.domain.federation import PeerVote
from swarm.domain.generation import ChatMessage, GenerationRequest, Provenance, TextDelta, Usage
from swarm.domain.ids import BootId, NodeId, RequestId
from swarm.domain.nodes import Endpoint, Load, ModelInfo, NodeStatus, PeerInfo
from swarm.federation.rules import VoteRules
from swarm.federation.settings import FederationSettings
from swarm.federation.strategies import decide
from swarm.federation.swarm import FederatedSwarm
from swarm.federation.voters import ThisNode

T = TypeVar("T")
SIGMA = 0.5
STALLS, STALL_FACTOR, FAILURES = 0.05, 10.0, 0.03
PIECES, PIECE_S = 10, 0.02
RIGHT, CONCENTRATION, ATTRACTIVE = 0.7, 4.0, 0.35
NEVER = 1e9


class VirtualTime(selectors.SelectSelector):
    """Where the loop would wait, time jumps."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        self.now += timeout or 0.0
        return super().select(0)


def in_virtual_time(work: Coroutine[Any, Any, T]) -> T:
    selector = VirtualTime()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


class LoopClock:
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        return self.now()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def status(name: str) -> NodeStatus:
    return NodeStatus(
        NodeId(name), BootId("boot"), name, "", 1, "ready", "", 1, Load(), ModelInfo("m", f"digest-{name}", 1, 512)
    )


def peer(name: str) -> PeerInfo:
    return PeerInfo(NodeId(name), BootId("boot"), Endpoint("127.0.0.1", 1), "alive", status(name), 0.0, 0.01)


def ask(number: int) -> GenerationRequest:
    return GenerationRequest(RequestId(f"r{number}"), (ChatMessage("user", "What is 2 + 2?"),))


# -- first_valid ------------------------------------------------------------------------------------------------------


@dataclass
class DrawnSource:
    """One call after the other, each with a fate of its own."""

    node: str
    rng: random.Random
    calls: int = 0
    finished: int = 0

    async def stream(self, _request: GenerationRequest) -> AsyncGenerator[TextDelta, None]:
        self.calls += 1
        delay_s = self.rng.lognormvariate(0.0, SIGMA) * (STALL_FACTOR if self.rng.random() < STALLS else 1)
        fails = self.rng.random() < FAILURES
        await asyncio.sleep(delay_s * (self.rng.random() if fails else 1))
        if fails:
            raise PeerError("failed")
        for _ in range(PIECES):
            yield TextDelta("word ", 1)
            await asyncio.sleep(PIECE_S)
        self.finished += 1
        yield TextDelta(
            finish_reason="stop",
            usage=Usage(5, PIECES),
            provenance=Provenance("peer", (NodeId(self.node),), "m", "d"),
        )


class Link:
    """Peers as sources, and as voters that answer when `votes` says so."""

    def __init__(self) -> None:
        self.sources: dict[NodeId, DrawnSource] = {}
        self.votes: dict[NodeId, tuple[float, PeerVote]] = {}

    def source(self, chosen: PeerInfo) -> DrawnSource:
        return self.sources[chosen.node]

    async def request_vote(self, chosen: PeerInfo, *_: object) -> tuple[PeerVote, ...]:
        delay_s, vote = self.votes[chosen.node]
        await asyncio.sleep(delay_s)
        return (vote,)


async def times_of(source: Any, requests: int) -> tuple[list[float], int]:
    """Seconds of each answered request, in order, and how many were not."""
    clock, seconds, failed = LoopClock(), [], 0
    for number in range(requests):
        started = clock.now()
        try:
            async with aclosing(source.stream(ask(number))) as deltas:
                async for _ in deltas:
                    pass
            seconds.append(clock.now() - started)
        except SwarmError:
            failed += 1
    return sorted(seconds), failed


async def hedged(requests: int, seed: int) -> tuple[list[float], int, float, int]:
    rng = random.Random(seed)
    names = [f"peer{number}" for number in range(4)]
    link = Link()
    link.sources = {NodeId(name): DrawnSource(name, random.Random(rng.random())) for name in names}
    local = DrawnSource("here", random.Random(rng.random()))
    this = ThisNode(local, no_votes, lambda: status("here"))
    settings = FederationSettings(strategy="first_valid", deadline_s=NEVER)
    swarm = FederatedSwarm(this, lambda: tuple(map(peer, names)), link, settings, LoopClock())  # type: ignore[arg-type]
    seconds, failed = await times_of(swarm, requests)
    everyone = [local, *link.sources.values()]
    calls = sum(source.calls for source in everyone)
    wasted = sum(source.finished for source in everyone) - len(seconds)
    return seconds, failed, calls / requests - 1, wasted


async def no_votes(_request: GenerationRequest, _count: int) -> tuple[PeerVote, ...]:
    raise PeerError("does not vote")


def at(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def bench_first_valid(requests: int, seed: int) -> None:
    single, single_failed = in_virtual_time(times_of(DrawnSource("one", random.Random(seed)), requests))
    seconds, failed, extra, wasted = in_virtual_time(hedged(requests, seed))
    print(f"## Hedged `first_valid`, {requests} requests\n")
    print("| | p50 | p95 | p99 | failed | extra calls |\n| --- | --- | --- | --- | --- | --- |")
    for name, ordered, lost, more in (("one peer", single, single_failed, 0.0), ("hedged", seconds, failed, extra)):
        figures = " | ".join(f"{at(ordered, share):.2f} s" for share in (0.5, 0.95, 0.99))
        print(f"| {name} | {figures} | {lost / requests:.2%} | {more:.1%} |")
    print(f"\np99 hedged / p99 of one peer: {at(seconds, 0.99) / at(single, 0.99):.2f}; ", end="")
    print(f"answers that ran to their end for nobody: {wasted}\n")


# -- votes that stop when they are decided ----------------------------------------------------------------------------


def candidates(rng: random.Random, names: Sequence[str]) -> dict[str, PeerVote]:
    """On one question; hard ones are hard for everybody."""
    chance = rng.betavariate(RIGHT * CONCENTRATION, (1 - RIGHT) * CONCENTRATION)

    def value() -> int:
        if rng.random() < chance:
            return 4
        return 5 if rng.random() < ATTRACTIVE else rng.randint(10, 99)

    return {
        name: PeerVote(
            NodeId(name), f"The answer is {value()}.", "stop", 6, -rng.random(), "m", f"digest-{name}", 0.0, 5
        )
        for name in names
    }


@dataclass(frozen=True)
class Timing:
    same: float
    early: float
    """Mean of the time to the decision over the median member's."""
    whole: float
    """The same of waiting for all."""
    p95: float


async def decided_votes(size: int, straggler: float, patience: float, votes: int, seed: int) -> Timing:
    rng = random.Random(seed)
    names = [f"n{number}" for number in range(size)]
    link, clock = Link(), LoopClock()
    now: dict[str, tuple[float, PeerVote]] = {}

    async def own(_request: GenerationRequest, _count: int) -> tuple[PeerVote, ...]:
        delay_s, vote = now[names[0]]
        await asyncio.sleep(delay_s)
        return (vote,)

    settings = FederationSettings(patience=patience, deadline_s=NEVER, examine_every_s=0.0)
    same, early, whole = 0, [], []
    for number in range(votes):
        # A swarm of its own for each, so that nothing is learned from the votes before.
        this = ThisNode(DrawnSource("x", rng), own, lambda: status(names[0]))
        swarm = FederatedSwarm(this, lambda: tuple(map(peer, names[1:])), link, settings, clock)  # type: ignore[arg-type]
        delays = [rng.lognormvariate(0.0, SIGMA) * (straggler if name == names[-1] else 1) for name in names]
        made = candidates(rng, names)
        now = {name: (delay, replace(made[name], latency_s=delay)) for name, delay in zip(names, delays, strict=True)}
        link.votes = {NodeId(name): drawn for name, drawn in now.items()}
        started = clock.now()
        result = await swarm.generate_with_federation(ask(number))
        spent = clock.now() - started
        invited = tuple(map(NodeId, names))
        rules = VoteRules(invited=invited, local=invited[0], names={node: node for node in invited})
        waited = decide("weighted_vote", [vote for _, vote in now.values()], rules)
        same += result.winner.text == waited.winner.text
        early.append(spent / statistics.median(delays))
        whole.append(max(delays) / statistics.median(delays))
    return Timing(same / votes, statistics.fmean(early), statistics.fmean(whole), at(sorted(early), 0.95))


def bench_early_stop(votes: int, seed: int) -> None:
    print(f"## Votes that stop when they are decided, {votes} votes each; times over the median member's\n")
    print("| voters | patience | same answer as waiting for all | mean | p95 | waiting for all |")
    print("| --- | --- | --- | --- | --- | --- |")
    for size in (3, 5, 7):
        for straggler in (1.0, 4.0):
            for patience in (NEVER, 2.0):
                timing = in_virtual_time(decided_votes(size, straggler, patience, votes, seed))
                who = f"{size}, one of them ×4" if straggler > 1 else f"{size}"
                wait = "none" if patience == NEVER else f"{patience:g}"
                figures = f"{timing.same:.1%} | {timing.early:.2f} | {timing.p95:.2f} | {timing.whole:.2f}"
                print(f"| {who} | {wait} | {figures} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--votes", type=int, default=4_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    bench_first_valid(arguments.requests, arguments.seed)
    bench_early_stop(arguments.votes, arguments.seed)


if __name__ == "__main__":
    main()
