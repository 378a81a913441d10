"""What the engine knows of its worker; each event makes a new state. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from swarm.domain.ids import NodeState
from swarm.domain.nodes import BlockSpan, ModelInfo, Progress
from swarm.wire.worker_messages import ChainChanged, Event, Hardware, Loaded, LoadFailed, Loading


@dataclass(frozen=True, slots=True)
class EngineState:
    state: NodeState = "starting"
    model: ModelInfo | None = None
    blocks: BlockSpan | None = None
    whole: bool = False
    missing: tuple[BlockSpan, ...] = ()
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
            case ChainChanged(missing):
                return replace(self, missing=missing).settled(chain_only)
            case _:
                return self

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
                spans = ", ".join(map(str, self.missing))
                return (
                    f"Blocks {spans} of {self.model.id if self.model else 'the model'} are served by no node. "
                    f"Start one more node with --blocks {self.missing[0] if self.missing else 'auto'}."
                )
            case "failed":
                return f"The model did not load: {self.problem}"
            case _ if self.problem:
                return f"The model is being loaded again: {self.problem}"
            case _:
                what = self.progress.what if self.progress else "starting the model worker"
                return f"The model is still loading ({what})"
