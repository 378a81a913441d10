"""What can be set about the model and the worker, with its default and the reason for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from swarm.domain.ids import Quantization


@dataclass(frozen=True, slots=True)
class EngineSettings:
    model: str = "auto"
    """A folder, a Hugging Face name, `demo`, or `auto`: the last one used or cached, else the demo model."""
    load_on_demand: bool = False
    """A request that names another model in the cache, or the demo model, has it loaded in place of the one that is
    served, once all running answers are finished."""
    blocks: str = "auto"
    """Which decoder layers to serve to others: `auto`, `all`, a number, `A:B` (B excluded), or `none`."""
    engine: Literal["auto", "local", "chain"] = "auto"
    """`local` needs the whole model here; `chain` always goes through blocks; `auto` takes local where it fits."""
    memory_limit: str = ""
    """What the model may take of this machine's memory, weights and attention caches together: `2GiB`, `500MB`, `50%`;
    empty: what is free."""
    quantization: Quantization = "none"
    """Weights of decoder layers in 8 or 4 bits: a quarter to an eighth of the memory in float32, and less exact. Routes
    go through nodes of one setting only."""
    slots: int = 4
    """Answers generated at the same time; more wait."""
    queue_limit: int = 32
    """Answers that may wait; more are refused with 429."""
    threads: int = 0
    """Compute threads; 0: all cores but one, and one for a tiny model."""
    chain_port: int = 17617
    """TCP port of the chain's libp2p; the next free one is taken where it is in use; 0 takes any."""
    hub_cache: str = ""
    """Folder of Hugging Face's cache, where models are looked for and fetched to; empty: the hub's own choice."""
    repair_s: float = 8.0
    """How long a running answer looks for other nodes when one that serves its blocks is lost; then it ends with an
    error that names the blocks."""
    check_peers_s: float = 60.0
    """How often an idle node computes a span of another node's blocks again and compares, about; 0: never."""
    silence_limit_s: float = 60.0
    """A worker that answers no ping for this long is ended and started again."""
    restart_min_s: float = 1.0
    restart_max_s: float = 30.0
    """Bounds of the pause before a crashed worker is started again; it doubles from one to the other."""
