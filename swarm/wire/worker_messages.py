"""What the daemon and its worker process say to each other, over the worker's stdin and stdout.

A frame is a 4-byte big-endian length and a msgpack map `{"type": <class name>, …fields}`. Commands go down, events come
up. The worker says `Hardware` first, then `Loading…` and `Loaded`, which comes again whenever it serves other blocks;
every `Generate` is answered by `Generated` pieces and ends with a piece that has a finish reason, or with
`GenerationFailed`. `Cancel` is answered by `GenerationFailed` with kind `cancelled`, so that the daemon knows when what
the request held is free.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any, Literal

import msgpack

from swarm.domain.generation import Prompt, Sampling
from swarm.domain.ids import FinishReason, Quantization
from swarm.domain.nodes import BlockSpan, Coverage, ModelInfo
from swarm.domain.tokens import HopProbe, TokenLogprob
from swarm.domain.tools import ResponseFormat, TemplateOptions, ToolCallDelta, ToolChoice, ToolSpec
from swarm.domain.weights import FileRange
from swarm.wire.codec import MalformedMessage, from_plain, to_plain

HEADER = struct.Struct(">I")
FOLDER_PREFIX = "swarm-"
"""Of the worker's own temporary folder, which the daemon makes and names to it as TMPDIR."""
FRAME_LIMIT = 64 * 2**20
"""Bytes; a longer frame is a bug or a torn stream."""


@dataclass(frozen=True, slots=True)
class LoadModel:
    """First command. Loads `path` and, where `chain_host` is set, joins or founds a DHT and serves `blocks`."""

    path: str
    """A folder, or a hub name that transformers resolves."""
    model_id: str
    blocks: str
    """`auto`, `none`, `all`, a number, or `A:B`: see the settings."""
    engine: Literal["auto", "local", "chain"]
    slots: int
    threads: int
    """Compute threads of torch; 0 lets the worker choose."""
    chain_host: str | None
    """This node's address for libp2p; None serves and uses no chain."""
    chain_port: int
    """0 takes any free port."""
    identity_path: str
    """Where the libp2p key is kept."""
    node: str
    """This node's id, by which others call it."""
    repair_s: float = 8.0
    """How long an answer looks for other nodes when a hop of it is lost."""
    digest: str = ""
    """Of a folder whose weight files have holes: the worker says `NeedWeights` before it reads from them."""
    hub_cache: str = ""
    """Where the hub's files are kept; empty: huggingface_hub's own choice."""
    memory_limit: str = ""
    """What the model may take of this machine's memory, as in the settings."""
    quantization: Quantization = "none"
    """Of the decoder layers in memory."""


@dataclass(frozen=True, slots=True)
class MoveChain:
    """This machine has another address now; the chain is opened again there, with what is loaded."""

    chain_host: str


@dataclass(frozen=True, slots=True)
class Introduce:
    """Other nodes' DHT addresses; merges the two DHTs. Idempotent."""

    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Forget:
    """These nodes are gone: no route goes through them until they are introduced again, and running steps give up."""

    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Suspect:
    """These nodes missed a probe: they are avoided, and what waits for them looks elsewhere sooner; until they are
    introduced again or forgotten."""

    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Generate:
    """See `GenerationRequest`."""

    id: str
    prompt: Prompt
    sampling: Sampling
    resume: tuple[int, ...] = ()
    """Tokens of the answer that were made and sent before; it goes on behind them."""
    response_format: ResponseFormat = field(default_factory=ResponseFormat)
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    parallel_tool_calls: bool = True
    echo: bool = False
    template: TemplateOptions = field(default_factory=TemplateOptions)


@dataclass(frozen=True, slots=True)
class Score:
    """How likely the model finds this text as an answer to the prompt; answered by `Scored` or `GenerationFailed`."""

    id: str
    prompt: Prompt
    text: str


@dataclass(frozen=True, slots=True)
class Tokenize:
    """Answered by `Tokenized` or `GenerationFailed`, like the following three by their own. See `ModelTools`."""

    id: str
    prompt: Prompt
    tools: tuple[ToolSpec, ...] = ()
    template: TemplateOptions = field(default_factory=TemplateOptions)
    add_special_tokens: bool = True


@dataclass(frozen=True, slots=True)
class Detokenize:
    id: str
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Embed:
    id: str
    inputs: tuple[Prompt, ...]


@dataclass(frozen=True, slots=True)
class Probe:
    """Compute one token."""

    id: str


@dataclass(frozen=True, slots=True)
class Cancel:
    id: str


@dataclass(frozen=True, slots=True)
class WeightsReady:
    """Answers `NeedWeights`: the bytes are in their files, or cannot be had because of `problem`."""

    id: int
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class CheckPeer:
    """Compute a random span of another node's again, if this worker is idle; `PeerChecked` where something is found."""

    prefer: tuple[str, ...] = ()
    """Servers of the chain, by their libp2p ids, that are looked at first."""
    without: tuple[str, ...] = ()
    """Those that have work."""


@dataclass(frozen=True, slots=True)
class Avoid:
    """All servers of the chain, by their libp2p ids, that no route may go through; in place of those named before."""

    servers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ping:
    """Answered by `Pong` at once, also while loading or generating: a worker that does not is hung."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Finish nothing, free everything, exit 0."""


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


Aside = Score | Tokenize | Detokenize | Embed | Probe
"""What is asked of the model besides answers: one reply each."""
Command = (
    LoadModel
    | MoveChain
    | Introduce
    | Forget
    | Suspect
    | Generate
    | Score
    | Tokenize
    | Detokenize
    | Embed
    | Probe
    | Cancel
    | WeightsReady
    | CheckPeer
    | Avoid
    | Ping
    | Stop
)
Loads = Hardware | Loading | NeedWeights | Loaded | LoadFailed | ChainOpened | ChainChanged
AsideReply = Scored | Tokenized | Detokenized | Embedded | Probed
Event = Pong | Logged | Loads | PeerChecked | Generated | AsideReply | GenerationFailed
_BY_NAME: dict[str, type[Any]] = {kind.__name__: kind for kind in (*Command.__args__, *Event.__args__)}


def to_frame(message: Command | Event) -> bytes:
    body = bytes(msgpack.packb({"type": type(message).__name__, **to_plain(message)}))
    return HEADER.pack(len(body)) + body


def from_body(body: bytes) -> Command | Event:
    """A frame's body. Raises `MalformedMessage`."""
    try:
        plain = msgpack.unpackb(body, strict_map_key=True)
        kind = _BY_NAME[plain.pop("type")]
    except (ValueError, KeyError, TypeError, AttributeError, msgpack.UnpackException) as error:
        raise MalformedMessage(f"not a message: {type(error).__name__}") from None
    message: Command | Event = from_plain(kind, plain)
    return message
