"""Up: what the worker process tells its daemon. See `worker_messages`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from swarm.domain.ids import FinishReason
from swarm.domain.nodes import BlockSpan, Coverage, ModelInfo
from swarm.domain.tokens import HopProbe, TokenLogprob
from swarm.domain.tools import ToolCallDelta
from swarm.domain.weights import FileRange


@dataclass(frozen=True, slots=True)
class Pong:
    """I am here."""


@dataclass(frozen=True, slots=True)
class Hardware:
    """What torch sees."""

    device: str
    """`cpu`, `cuda` or `mps`."""
    device_name: str
    device_memory_bytes: int


@dataclass(frozen=True, slots=True)
class Loading:
    what: str
    fraction: float | None


@dataclass(frozen=True, slots=True)
class ChainOpened:
    """Others can be introduced to this node, although nothing is loaded yet; also after `MoveChain`."""

    chain_addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Loaded:
    model: ModelInfo
    blocks: BlockSpan | None
    """Served to others."""
    whole: bool
    why: str
    """What was chosen, and why, as one sentence for the banner."""
    chain_addresses: tuple[str, ...]
    complete: bool = True
    """False: the whole model answers already, and its blocks are about to be served."""
    folder: str = ""
    """Where the checkpoint lies."""


@dataclass(frozen=True, slots=True)
class NeedWeights:
    """Get these bytes of the model's files; answered by `WeightsReady`."""

    id: int
    ranges: tuple[FileRange, ...]


@dataclass(frozen=True, slots=True)
class LoadFailed:
    message: str
    permanent: bool
    """Trying again without another setting cannot help."""


@dataclass(frozen=True, slots=True)
class ChainChanged:
    """How often each block is served; sent at every change while this node is in a chain."""

    coverage: Coverage


@dataclass(frozen=True, slots=True)
class Logged:
    """A line of the worker's log, for the daemon's."""

    level: int
    """As Python's logging numbers them."""
    logger: str
    message: str
    fields: dict[str, Any]
    trace: str = ""
    """Of an exception, in lines."""


@dataclass(frozen=True, slots=True)
class PeerChecked:
    """A server's blocks were computed again and compared."""

    node: str
    """As the server names itself; anybody may name himself anything."""
    server: str
    """Its libp2p id, which the connection proves."""
    span: BlockSpan
    agrees: bool
    difference: float
    """Relative to the right result."""


@dataclass(frozen=True, slots=True)
class Generated:
    id: str
    text: str
    tokens: int
    logprob_sum: float
    token_ids: tuple[int, ...] = ()
    finish_reason: FinishReason | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    route: Literal["local", "chain"] = "local"
    servers: tuple[str, ...] = ()
    """The other nodes on the route, in order: their ids, or libp2p ids where they say none; last piece only."""
    token_logprobs: tuple[TokenLogprob, ...] = ()
    tool_calls: tuple[ToolCallDelta, ...] = ()
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class Scored:
    id: str
    mean_logprob: float
    """Natural logarithm, over the tokens that were looked at."""
    tokens: int


@dataclass(frozen=True, slots=True)
class Tokenized:
    id: str
    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    context_tokens: int


@dataclass(frozen=True, slots=True)
class Detokenized:
    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Embedded:
    id: str
    vectors: tuple[bytes, ...]
    """Little-endian float32, of length 1."""
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Probed:
    id: str
    seconds: float
    route: Literal["local", "chain"]
    hops: tuple[HopProbe, ...]


@dataclass(frozen=True, slots=True)
class GenerationFailed:
    id: str
    kind: Literal["request", "unavailable", "backend", "cancelled"]
    message: str
    param: str | None = None
    code: str | None = None


Loads = Hardware | Loading | NeedWeights | Loaded | LoadFailed | ChainOpened | ChainChanged
AsideReply = Scored | Tokenized | Detokenized | Embedded | Probed
Event = Pong | Logged | Loads | PeerChecked | Generated | AsideReply | GenerationFailed
