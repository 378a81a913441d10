"""Nodes: what one says of itself, and what another knows of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from swarm.domain.ids import BootId, NewsKind, NodeId, NodeState, Standing

LAYERS_LIMIT = 2**16
"""Far above any model's; a peer that claims more is talking nonsense."""


@dataclass(frozen=True, slots=True)
class BlockSpan:
    """Consecutive decoder layers `start` (included) to `end` (excluded), counted from 0."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end <= LAYERS_LIMIT:
            raise ValueError(f"{self.start}:{self.end} is no span of layers")

    def __str__(self) -> str:
        return f"{self.start}:{self.end}"

    def __len__(self) -> int:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a node's API listens. `host` is an IP address, with its zone where it needs one (`fe80::1%eth0`)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model as every node can name it. Two nodes serve the same model if and only if `digest` is the same."""

    id: str
    digest: str
    layers: int
    context_tokens: int
    created: int = 0
    """Unix time in s of the checkpoint; constant for a checkpoint, as clients expect of /v1/models."""

    @property
    def weights_digest(self) -> str:
        """Of the weights as stored: the same whether a node holds them in fewer bits (`<digest>-int8`) or not."""
        return self.digest.partition("-")[0]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Blocks that follow each other and are served by equally many nodes."""

    span: BlockSpan
    nodes: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """How often each block of a model is served; the stretches follow each other from block 0 to the last."""

    stretches: tuple[Stretch, ...] = ()
    block_bytes: int = 0
    """Memory that one block takes; 0 where it is not known."""

    @property
    def missing(self) -> tuple[BlockSpan, ...]:
        return tuple(stretch.span for stretch in self.stretches if stretch.nodes == 0)

    @property
    def survives(self) -> int:
        """So many nodes can die, whichever they are, and every block is still served: to uncover a block all that
        serve it must go, and the block with the fewest is the cheapest cut."""
        return max(0, min((stretch.nodes for stretch in self.stretches), default=0) - 1)


@dataclass(frozen=True, slots=True)
class Progress:
    """Long work, as a person reads it. `fraction` is 0 to 1, or None while the end is not known."""

    what: str
    fraction: float | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """Generations on this node now. Those beyond `slots` wait; beyond `queue_limit` they are refused."""

    running: int = 0
    waiting: int = 0
    slots: int = 1
    queue_limit: int = 16


@dataclass(frozen=True, slots=True)
class News:
    """Somebody came or went, as a node found or heard it: a hint where to probe, never proof."""

    node: NodeId
    boot: BootId
    endpoint: Endpoint
    kind: NewsKind
    age_s: float
    """Since it was found; whoever passes it on adds the time that it took."""


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What a node says of itself: the answer to a probe, and this node's part of the status page."""

    node: NodeId
    boot: BootId
    name: str
    """The machine's name, for people; not unique and never trusted."""
    version: str
    protocol: int
    state: NodeState
    hardware: str
    instances: int
    """How many candidates this node contributes to a vote."""
    load: Load
    model: ModelInfo | None = None
    blocks: BlockSpan | None = None
    """The blocks served to others; all of them where the node holds the whole model; None where it serves none."""
    whole: bool = False
    """Holds the whole model, and answers without others."""
    missing: tuple[BlockSpan, ...] = ()
    """Blocks that nobody is known to serve; empty where this node can answer."""
    coverage: Coverage | None = None
    """How often each block is served, as this node sees it; None where it uses no chain."""
    progress: Progress | None = None
    problem: str | None = None
    """What went wrong last, while it still matters."""
    chain_addresses: tuple[str, ...] = ()
    """libp2p multiaddresses of this node's DHT, to which other nodes introduce themselves."""
    requests: int = 0
    """Answers finished since the start."""
    tokens: int = 0
    """Tokens generated since the start."""
    tokens_per_s: float | None = None
    """Of one stream, measured over the last answers; None before the first."""
    chosen: str = ""
    """The model that this node means to serve, before it has loaded it; empty where nobody chose one."""
    wanted: str = ""
    """A model that this node lacks and looks for, so that one node a site asks the hub."""
    news: tuple[News, ...] = ()
    """Of the last half minute; only in the answer to a probe, and not kept with the rest."""

    @property
    def can_answer(self) -> bool:
        return self.state == "ready"


@dataclass(frozen=True, slots=True)
class Advert:
    """What a node says over mDNS: a hint where to probe, never proof that it lives."""

    node: NodeId
    boot: BootId
    endpoints: tuple[Endpoint, ...]
    version: str = ""
    protocol: int = 0
    instances: int = 1
    model_id: str = ""
    hardware_summary: str = ""


@dataclass(frozen=True, slots=True)
class CheckRecord:
    """What this node found when it computed a peer's blocks again."""

    agreed: int = 0
    wrong: int = 0
    avoided: bool = False
    """No route goes through it until it has answered rightly again, or for half an hour."""
    difference: float = 0.0
    """Of the last comparison, relative."""
    age_s: float = 0.0
    """Since the last comparison."""


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """One row of the table of peers, as this node sees it."""

    node: NodeId
    boot: BootId
    endpoint: Endpoint
    standing: Standing
    status: NodeStatus | None
    """Its own last words; None until it answered a probe."""
    silent_s: float
    """Since it was last heard."""
    round_trip_s: float | None = None
    problem: str | None = None
    """Why it is not used, where it is not: another protocol version, refused, no answer."""
    checks: CheckRecord | None = None
    """None where its blocks were never computed again."""


def statuses_of_living(peers: Iterable[PeerInfo]) -> list[NodeStatus]:
    """What those say of themselves that are alive now, and answered a probe."""
    return [peer.status for peer in peers if peer.standing == "alive" and peer.status]
