"""Down: what the daemon asks of its worker process. See `worker_messages`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from swarm.domain.generation import Prompt, Sampling
from swarm.domain.ids import Quantization
from swarm.domain.tools import ResponseFormat, TemplateOptions, ToolChoice, ToolSpec


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
    """Compute two tokens, of which the second takes each hop as long as one of an answer does."""

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
