"""What nodes say to each other over /v1/federation/*."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from swarm.domain.federation import PeerVote
from swarm.domain.generation import Prompt, Sampling, TextScore
from swarm.domain.nodes import NodeStatus, PeerInfo
from swarm.domain.tools import ResponseFormat, TemplateOptions, ToolChoice, ToolSpec


@dataclass(frozen=True, slots=True)
class VoteRequest:
    """POST /v1/federation/vote: answer this by yourself, with as many candidates as you have instances."""

    id: str
    prompt: Prompt
    sampling: Sampling
    model: str | None = None
    protocol: int = 1
    response_format: ResponseFormat = field(default_factory=ResponseFormat)
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    parallel_tool_calls: bool = True
    template: TemplateOptions = field(default_factory=TemplateOptions)


@dataclass(frozen=True, slots=True)
class VoteReply:
    votes: tuple[PeerVote, ...]


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """POST /v1/federation/score: how likely do you find each of these answers of others?"""

    id: str
    prompt: Prompt
    texts: tuple[str, ...]
    model: str | None = None
    protocol: int = 1


@dataclass(frozen=True, slots=True)
class ScoreReply:
    scores: tuple[TextScore | None, ...]
    """In the order of the texts; None for one that this node cannot score."""


@dataclass(frozen=True, slots=True)
class Goodbye:
    """POST /v1/federation/goodbye: I stop now. A hint: the receiver probes before it believes it."""

    node: str
    boot: str


@dataclass(frozen=True, slots=True)
class Hello:
    """POST /v1/federation/hello: I met you; meet me at the address that this comes from. A hint, like a goodbye."""

    node: str
    boot: str
    port: int
    """Of the sender's API."""


@dataclass(frozen=True, slots=True)
class PeerEvent:
    """What happened to the membership, as this node saw it."""

    kind: Literal["joined", "changed", "suspect", "left"]
    node: str
    name: str
    at: float
    """Unix time in s."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PeersReply:
    """GET /v1/federation/peers."""

    self: NodeStatus
    peers: tuple[PeerInfo, ...]
    events: tuple[PeerEvent, ...] = ()
    """The last ones, oldest first."""
