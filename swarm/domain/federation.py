"""A vote: candidates from nodes, the ballots that they became, the result, and the record of it."""

from __future__ import annotations

from dataclasses import dataclass

from swarm.domain.answers import ToolCall
from swarm.domain.ids import FinishReason, NodeId, RequestId, StrategyName
from swarm.domain.tokens import TokenLogprob


@dataclass(frozen=True, slots=True)
class PeerVote:
    """One candidate answer of one node. `error` is set, and the text empty, where the node gave none."""

    node: NodeId
    text: str
    finish_reason: FinishReason | None
    tokens: int
    """Completion tokens."""
    mean_logprob: float | None
    """Mean natural-log probability of the sampled tokens at temperature 1; at most 0. The node's own claim."""
    model: str
    model_digest: str
    latency_s: float
    """From asking to the whole answer, as measured by the asker."""
    prompt_tokens: int = 0
    error: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    token_logprobs: tuple[TokenLogprob, ...] = ()
    """Of the text's tokens, where the request asks for them."""
    reasoning: str = ""
    """What the model thought before; in no `text`."""


@dataclass(frozen=True, slots=True)
class Ballot:
    """What one vote counted for, and why; the public record of it."""

    node: NodeId
    name: str
    answer: str
    """The canonical answer, at most 80 characters; empty where the vote was not valid."""
    weight: float
    valid: bool
    chosen: bool
    reason: str
    """Why it was excluded, or what its weight was made of."""
    latency_s: float
    model: str
    key: str = ""
    """A short digest, the same for all ballots that count as one answer; empty where the vote was not valid."""
    answered: bool = True
    """The node sent a candidate, valid or not."""


@dataclass(frozen=True, slots=True)
class FederationResult:
    """The chosen candidate and how it was chosen."""

    winner: PeerVote
    strategy: StrategyName
    agreement: float
    """The winner's share of the valid weight, 0 to 1."""
    margin: float
    """That share less the runner-up's, 0 to 1."""
    decided: bool
    """The winner holds more than half of the weight of all who were invited."""
    reason: str
    ballots: tuple[Ballot, ...]


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One vote as it is remembered: who said the same as whom, and what it counted. Texts only where configured."""

    request: RequestId
    at: float
    """Unix time in s of the decision."""
    seconds: float
    """From asking to deciding."""
    strategy: StrategyName
    winner: NodeId
    model: str
    agreement: float
    margin: float
    decided: bool
    reason: str
    ballots: tuple[Ballot, ...]
    prompt: str | None = None
    answer: str | None = None
