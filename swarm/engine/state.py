"""What the engine knows of its worker; each event makes a new state. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from swarm.domain.coverage import what_is_unserved
from swarm.domain.ids import NodeState
from swarm.domain.nodes import BlockSpan, Coverage, ModelInfo, Progress
from swarm.wire.worker_events import ChainChanged, ChainOpened, Event, Hardware, Loaded, LoadFailed, Loading


@dataclass(frozen=True, slots=True)
class EngineState:
    state: NodeState = "starting"
    model: ModelInfo | None = None
    blocks: BlockSpan | None = None
    whole: bool = False
    coverage: Coverage | None = None
    """How often each block is served; None while no chain is joined."""
    progress: Progress | None = None
    problem: str | None = None
    chain_addresses: tuple[str, ...] = ()
    hardware: Hardware | None = None
    why: str = ""
    """What the worker chose to load and serve, as a sentence."""
    folder: str = ""
    """Where the loaded checkpoint lies."""
    complete: bool = False
    """Nothing more is being loaded or joined."""

    def after(self, event: Event, *, chain_only: bool) -> EngineState:
        """`chain_only`: even the whole model is answered through blocks (`--engine chain`)."""
        match event:
            case Hardware():
                return replace(self, state="loading", hardware=event, problem=None)
            case Loading(what, fraction):
                return (
                    self if self.state == "ready" else replace(self, state="loading", progress=Progress(what, fraction))
                )
            case Loaded():
                return replace(
                    self,
                    model=event.model,
                    blocks=event.blocks,
                    whole=event.whole,
                    chain_addresses=event.chain_addresses,
                    why=event.why,
                    complete=event.complete,
                    folder=event.folder,
                    progress=None,
                    problem=None,
                ).settled(chain_only)
            case LoadFailed(message, permanent):
                return replace(self, state="failed" if permanent else "starting", problem=message, progress=None)
            case ChainOpened(addresses):
                return replace(self, chain_addresses=addresses)
            case ChainChanged(coverage):
                return replace(self, coverage=coverage).settled(chain_only)
            case _:
                return self

    @property
    def missing(self) -> tuple[BlockSpan, ...]:
        return self.coverage.missing if self.coverage else ()

    def settled(self, chain_only: bool) -> EngineState:
        """Ready, or waiting for blocks, once something is loaded."""
        if self.model is None:
            return self
        alone = self.whole and not chain_only
        return replace(self, state="ready" if alone or not self.missing else "waiting")

    def crashed(self, problem: str) -> EngineState:
        """The process is gone; only what is true of the machine stays."""
        return EngineState(state="starting", hardware=self.hardware, problem=problem)

    def why_not(self) -> str:
        """Why no answer can be given now, and what would help."""
        match self.state:
            case "waiting":
                name = self.model.id if self.model else "the model"
                needed = self.coverage.block_bytes if self.coverage else 0
                return f"Of {name} {what_is_unserved(self.missing, needed)}."
            case "failed":
                return f"The model did not load: {self.problem}"
            case _ if self.problem:
                return f"The model is being loaded again: {self.problem}"
            case _:
                what = self.progress.what if self.progress else "starting the model worker"
                return f"The model is still loading ({what})"
