"""The public record of a decision: one ballot a vote, with what it counted for and why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b

from swarm.domain.errors import Unavailable
from swarm.domain.federation import Ballot, FederationResult, PeerVote
from swarm.domain.ids import NodeId, StrategyName
from swarm.domain.nodes import ModelInfo
from swarm.federation.canonical import canonical_answer
from swarm.federation.failures import listed
from swarm.federation.rules import VoteRules
from swarm.federation.tally import Cluster, Entry, Tally


def result(tally: Tally, strategy: StrategyName, winner: Entry, cluster: Cluster, reason: str) -> FederationResult:
    """`cluster` is what the winner's answer is backed by."""
    total = math.fsum(entry.weight.high for entry in tally.entries)
    others = [other.score for other in tally.clusters if other is not cluster]
    share = _share(cluster.score, total)
    return FederationResult(
        winner=winner.vote,
        strategy=strategy,
        agreement=share,
        margin=round(max(0.0, share - _share(max(others, default=0.0), total)), 6),
        decided=cluster.score > (total + _absent_weight(tally)) / 2,
        reason=reason,
        ballots=_ballots(tally, winner),
    )


def first_result(winner: PeerVote, others: Sequence[PeerVote], rules: VoteRules) -> FederationResult:
    """Of an answer that was passed on while it was generated: nothing was compared, and nothing can be taken back."""
    chosen = Ballot(
        node=winner.node,
        name=rules.name_of(winner.node),
        answer=canonical_answer(winner.text, rules.form, winner.tool_calls).shown,
        weight=1.0,
        valid=True,
        chosen=True,
        reason="the first to begin",
        latency_s=winner.latency_s,
        model=winner.model,
        key=_digest(winner.text),
    )
    return FederationResult(
        winner=winner,
        strategy="first_valid",
        agreement=1.0,
        margin=1.0,
        decided=not others,
        reason=f"the first of {len(others) + 1} that were asked to begin an answer",
        ballots=(chosen, *(_excluded(rules, vote, vote.error or "") for vote in others)),
    )


def absent_vote(node: NodeId, model: ModelInfo | None, reason: str, latency_s: float) -> PeerVote:
    """Stands for somebody who was asked and gave no answer."""
    return PeerVote(
        node=node,
        text="",
        finish_reason=None,
        tokens=0,
        mean_logprob=None,
        model=model.id if model else "",
        model_digest=model.digest if model else "",
        latency_s=latency_s,
        error=reason,
    )


def nobody_valid(tally: Tally) -> Unavailable:
    """The error of a vote without a single valid candidate."""
    reasons = {tally.rules.name_of(vote.node): reason for vote, reason in tally.invalid}
    if not reasons:
        return Unavailable("No node was there to vote; wait until this node or a peer is ready.")
    return Unavailable(f"No vote was valid ({listed(reasons)}). Try again.")


def _share(score: float, total: float) -> float:
    return round(min(1.0, score / total), 6) if total > 0 else 0.0


def _absent_weight(tally: Tally) -> float:
    """What those who were invited and gave no valid vote would have weighed."""
    there = {entry.vote.node for entry in tally.entries}
    return math.fsum(tally.electorate.absent_weight(node) for node in tally.electorate.reliability if node not in there)


def _ballots(tally: Tally, winner: Entry) -> tuple[Ballot, ...]:
    counted = [_counted(tally, entry, chosen=entry is winner) for entry in tally.entries]
    return (*counted, *(_excluded(tally.rules, vote, reason) for vote, reason in tally.invalid))


def _counted(tally: Tally, entry: Entry, chosen: bool) -> Ballot:
    vote = entry.vote
    return Ballot(
        node=vote.node,
        name=tally.rules.name_of(vote.node),
        answer=entry.answer.shown,
        weight=round(entry.weight.high, 4),
        valid=True,
        chosen=chosen,
        reason=entry.weight.explanation,
        latency_s=vote.latency_s,
        model=vote.model,
        key=_key_of(tally, entry),
    )


def _key_of(tally: Tally, entry: Entry) -> str:
    cluster = next(cluster for cluster in tally.clusters if entry in cluster.entries)
    return _digest(min(f"{member.answer.kind}:{member.answer.key}" for member in cluster.entries))


def _digest(text: str) -> str:
    return blake2b(text.encode(errors="replace"), digest_size=6).hexdigest()


def _excluded(rules: VoteRules, vote: PeerVote, reason: str) -> Ballot:
    return Ballot(
        node=vote.node,
        name=rules.name_of(vote.node),
        answer="",
        weight=0.0,
        valid=False,
        chosen=False,
        reason=reason,
        latency_s=vote.latency_s,
        model=vote.model,
        answered=vote.error is None,
    )
