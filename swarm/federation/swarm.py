"""This node and its peers as one source of text: a request fans out, and one answer comes back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

from swarm.domain.errors import Unavailable, Undecided
from swarm.domain.federation import FederationResult, PeerVote
from swarm.domain.generation import GenerationRequest, TextDelta
from swarm.domain.ids import NodeId, StrategyName
from swarm.domain.nodes import PeerInfo
from swarm.federation.answer_form import expected_form
from swarm.federation.ballots import absent_vote
from swarm.federation.best_of_n import wants_cross_scores
from swarm.federation.collecting import Ask, Collected, Waiting, collect
from swarm.federation.cross_scoring import CrossScoring
from swarm.federation.early_stop import is_decided
from swarm.federation.failures import common_failure
from swarm.federation.hedging import Contender, first_to_start
from swarm.federation.memory import VoteMemory
from swarm.federation.progress import Progress
from swarm.federation.replay import replay
from swarm.federation.rules import VoteRules
from swarm.federation.settings import FederationSettings
from swarm.federation.strategies import decide
from swarm.federation.trust.reliability import posterior_mean
from swarm.federation.validity import why_invalid
from swarm.federation.voters import ThisNode, Voter, choose_voters
from swarm.ports.clock import Clock
from swarm.ports.peer_link import PeerLink
from swarm.ports.text_source import TextSource

logger = logging.getLogger(__name__)

DOUBTED = 0.34
"""Chance to be right below which a node is worth nothing in a vote either."""
JUDGING_S = 2.0
"""That judges get in any case; reading a text takes a small part of the time that writing it took."""


Heard = Callable[[Collected, VoteRules], None]


@dataclass(frozen=True, slots=True)
class BestAlone:
    """Who answers without a vote, and why."""

    voter: Voter
    strategy: StrategyName
    reason: str


class FederatedSwarm:
    """A `TextSource`; also gives the bare result of a vote."""

    def __init__(
        self,
        this: ThisNode,
        peers: Callable[[], tuple[PeerInfo, ...]],
        link: PeerLink,
        settings: FederationSettings,
        clock: Clock,
        memory: VoteMemory | None = None,
    ) -> None:
        self._this, self._peers, self._link, self._settings, self._clock = this, peers, link, settings, clock
        self._memory = memory or VoteMemory.empty(lambda: this.status().node, settings, clock)
        self._judges = CrossScoring(this, link, clock)

    def voters(self, request: GenerationRequest) -> tuple[Voter, ...]:
        """Those who would be asked now."""
        return choose_voters(request, self._this.status(), self._peers(), self._settings.fan_out)

    def doubted(self, peers: Sequence[PeerInfo]) -> frozenset[NodeId]:
        """Those whose record says that they are more often wrong than right."""
        record = self._memory.reputation.record
        return frozenset(peer.node for peer in peers if posterior_mean(record(peer.node)) < DOUBTED)

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[TextDelta, None]:
        """`first_valid` streams as it is generated; the others say how the vote is getting on until it is decided."""
        first = self._strategy(request) == "first_valid"
        async with aclosing(self._first(request) if first else self._voted(request)) as deltas:
            async for delta in deltas:
                yield delta

    async def _voted(self, request: GenerationRequest) -> AsyncGenerator[TextDelta, None]:
        progress = Progress(len(self.voters(request)))
        voting = asyncio.create_task(
            self.generate_with_federation(request, progress.heard), name=f"vote on {request.id}"
        )
        try:
            async with aclosing(progress.until(voting, self._clock)) as news:
                async for words in news:
                    yield TextDelta(progress=words)
            for delta in replay(await voting):
                yield delta
        finally:
            voting.cancel()
            await asyncio.gather(voting, return_exceptions=True)

    async def generate_with_federation(
        self, request: GenerationRequest, heard: Heard = lambda *_: None
    ) -> FederationResult:
        """One vote. Raises `RequestError` where nobody can ever answer it, and `Unavailable` where nobody can now."""
        voters = self.voters(request)
        if not voters:
            raise Unavailable("No node can answer now; wait until this node or a peer is ready.")
        self._memory.note(request)
        strategy, rules = self._strategy(request), self._rules(request, voters)
        started = self._clock.now()
        best = self._best_alone(strategy, voters, rules)
        result = await self._by_best(best, voters, rules, heard) if best else None
        if result is None:
            result = await self._by_vote(request, voters, strategy, rules, heard)
        else:
            self._memory.remember(request, result, self._clock.now() - started)
        _log(request, result)
        return result

    async def _by_vote(
        self,
        request: GenerationRequest,
        voters: tuple[Voter, ...],
        strategy: StrategyName,
        rules: VoteRules,
        heard: Heard,
    ) -> FederationResult:
        started = self._clock.now()
        collected = await self._collect(voters, strategy, rules, heard)
        _raise_where_all_failed(voters, collected)
        elapsed_s = self._clock.now() - started
        if strategy == "best_of_n" and (judged := wants_cross_scores(collected.votes, rules)):
            limit_s = max(min(self._settings.deadline_s, self._settings.patience * elapsed_s) - elapsed_s, JUDGING_S)
            rules = replace(rules, cross_scores=await self._judges.scores(voters, judged, limit_s))
        votes = collected.votes + _absent_votes(voters, collected, elapsed_s)
        try:
            result = _with_company(decide(strategy, votes, rules))
        except Undecided as undecided:
            self._memory.remember(request, undecided.decision, self._clock.now() - started, votes)
            raise
        self._memory.remember(request, result, self._clock.now() - started, votes)
        return result

    def _best_alone(self, strategy: StrategyName, voters: tuple[Voter, ...], rules: VoteRules) -> BestAlone | None:
        """The voter that the record trusts more than a vote of all; `abstain` asks for a majority in any case."""
        if strategy == "abstain" or len(voters) < 2:
            return None
        said = self._memory.reputation.forecast(rules.invited, rules)
        if said.vote_helps:
            return None
        return BestAlone(next(voter for voter in voters if voter.node == said.best), strategy, said.reason)

    async def _by_best(
        self, best: BestAlone, voters: tuple[Voter, ...], rules: VoteRules, heard: Heard
    ) -> FederationResult | None:
        """None where it gives no valid answer in time: then all are asked."""
        collected = await self._collect((best.voter,), best.strategy, replace(rules, invited=(best.voter.node,)), heard)
        if not any(why_invalid(vote, rules) is None for vote in collected.votes):
            return None
        others = [
            absent_vote(voter.node, voter.status.model, "not asked: the best member answers alone", 0.0)
            for voter in voters
            if voter is not best.voter
        ]
        made = decide(best.strategy, [*collected.votes, *others], replace(rules, invited=(best.voter.node,)))
        return replace(made, reason=best.reason)

    async def _collect(
        self, voters: tuple[Voter, ...], strategy: StrategyName, rules: VoteRules, heard: Heard
    ) -> Collected:
        def enough(votes: Sequence[PeerVote], pending: Collection[NodeId]) -> bool:
            return is_decided(strategy, votes, pending, rules)

        def usable(vote: PeerVote) -> bool:
            return why_invalid(vote, rules) is None

        waiting = Waiting(self._settings.deadline_s, self._settings.patience, self._this.status().node)
        asks = {voter.node: self._ask(voter) for voter in voters}
        return await collect(asks, enough, waiting, self._clock, usable, partial(_tell, heard, rules))

    def _strategy(self, request: GenerationRequest) -> StrategyName:
        return request.strategy or self._settings.strategy

    def _ask(self, voter: Voter) -> Ask:
        if voter.peer is None:
            return partial(self._this.votes, voter.request, self._settings.instances)
        return partial(self._link.request_vote, voter.peer, voter.request, self._settings.deadline_s)

    def _source(self, voter: Voter) -> TextSource:
        return self._this.source if voter.peer is None else self._link.source(voter.peer)

    def _rules(self, request: GenerationRequest, voters: tuple[Voter, ...]) -> VoteRules:
        nodes = tuple(voter.node for voter in voters)
        return VoteRules(
            invited=nodes,
            local=self._this.status().node,
            model=request.model,
            form=expected_form(request),
            trust=self._settings.trust,
            reliability=self._memory.reputation.reliability(nodes),
            confidence={node: self._memory.reputation.confidence(node) for node in nodes},
            names={voter.node: voter.status.name for voter in voters},
        )

    async def _first(self, request: GenerationRequest) -> AsyncGenerator[TextDelta, None]:
        self._memory.note(request)
        words, started = self._memory.first_words, self._clock.now()
        voters = words.ordered(self.voters(request))
        contenders = [Contender(voter, self._source(voter)) for voter in voters]
        rules = self._rules(request, voters)
        race = first_to_start(contenders, rules, self._clock, self._settings.deadline_s, words)
        async with aclosing(race) as deltas:
            async for delta in deltas:
                if delta.provenance and delta.provenance.decision:
                    self._memory.remember(request, delta.provenance.decision, self._clock.now() - started)
                yield delta


def _tell(heard: Heard, rules: VoteRules, collected: Collected) -> None:
    heard(collected, rules)


def _raise_where_all_failed(voters: tuple[Voter, ...], collected: Collected) -> None:
    """Where there is no vote at all, the caller learns the kind of the failure, not only that there was one."""
    if len(collected.failed) == len(voters):
        names = {voter.node: voter.status.name for voter in voters}
        raise common_failure({names[node]: error for node, error in collected.failed.items()})


def _absent_votes(voters: tuple[Voter, ...], collected: Collected, elapsed_s: float) -> list[PeerVote]:
    """One for everyone who was asked and gave none, so that each has a ballot."""
    reasons = {node: str(error) for node, error in collected.failed.items()} | collected.unanswered
    answered = {vote.node for vote in collected.votes}
    return [
        absent_vote(voter.node, voter.status.model, reasons.get(voter.node, "it sent no candidate"), elapsed_s)
        for voter in voters
        if voter.node not in answered
    ]


def _with_company(result: FederationResult) -> FederationResult:
    """Says so where the vote was none."""
    voted = {ballot.node for ballot in result.ballots if ballot.valid}
    asked = {ballot.node for ballot in result.ballots}
    if len(voted) > 1:
        return result
    alone = "only one of the nodes asked gave a valid answer" if len(asked) > 1 else "no other node was there to ask"
    return replace(result, reason=f"{alone}; {result.reason}")


def _log(request: GenerationRequest, result: FederationResult) -> None:
    fields = {
        "request": request.id,
        "strategy": result.strategy,
        "winner": result.winner.node,
        "agreement": round(result.agreement, 3),
        "decided": result.decided,
        "valid": sum(ballot.valid for ballot in result.ballots),
        "ballots": len(result.ballots),
    }
    logger.info("vote decided", extra={"fields": fields})
