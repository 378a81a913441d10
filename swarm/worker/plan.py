"""Which layers this node loads and which it serves, and why, in words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from swarm.domain.coverage import size_in_words
from swarm.domain.nodes import BlockSpan
from swarm.worker.failures import LoadFailure

MEMORY_SHARE = 0.7
"""Of the free memory, what weights may take; the rest is for attention caches, activations and the machine's owner."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of a model in the dtype that it will have in memory, in bytes, and of the memory that is free for it."""

    layers: int
    layer_bytes: int
    ends_bytes: int
    free_bytes: int

    @property
    def fitting_layers(self) -> int:
        return max(0, min(self.layers, int((self.free_bytes * MEMORY_SHARE - self.ends_bytes) // self.layer_bytes)))


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """`load` None: only the ends. `count`: so many blocks at most are served wherever they help most; see `placed`."""

    load: BlockSpan | None
    serve: BlockSpan | None
    count: int | None
    why: str

    def placed(self, span: BlockSpan) -> LoadPlan:
        return LoadPlan(span, span, self.count, f"{self.why} {span} are needed most.")


def plan_load(blocks: str, engine: Literal["auto", "local", "chain"], sizes: Sizes) -> LoadPlan:
    """`blocks`: `auto`, `none`, `all`, a number or `A:B`. Raises `LoadFailure` where the setting cannot be met."""
    everything, fitting = BlockSpan(0, sizes.layers), sizes.fitting_layers
    free, block = size_in_words(sizes.free_bytes), size_in_words(sizes.layer_bytes)
    memory = f"{free} are free and each of the {sizes.layers} blocks takes {block}"
    if engine == "local":
        if blocks == "none":
            return LoadPlan(everything, None, None, "The whole model is here and no block is served, as asked.")
        serve = everything if blocks in ("auto", "all") else _named(blocks, sizes.layers)
        return LoadPlan(everything, serve, None, f"The whole model is here, as asked; {memory}.")
    if blocks == "none":
        fits = fitting == sizes.layers and engine == "auto"
        why = "The whole model fits here" if fits else "Other nodes serve the blocks"
        return LoadPlan(everything if fits else None, None, None, f"{why}; none is served from here, as asked.")
    if blocks == "all" or (blocks == "auto" and fitting == sizes.layers):
        return LoadPlan(everything, everything, None, f"The whole model fits: {memory}.")
    if blocks == "auto":
        if fitting == 0:
            return LoadPlan(None, None, None, f"No block fits: {memory}. Other nodes have to serve them.")
        return LoadPlan(None, None, fitting, f"{fitting} of {sizes.layers} blocks fit: {memory};")
    if blocks.isdigit():
        count = int(blocks)
        if not 1 <= count <= sizes.layers:
            raise LoadFailure(f"--blocks {blocks}: the model has {sizes.layers} blocks; name 1 to {sizes.layers}")
        if count == sizes.layers:
            return LoadPlan(everything, everything, None, "All blocks, as asked.")
        return LoadPlan(None, None, count, f"{count} blocks, as asked;")
    span = _named(blocks, sizes.layers)
    return LoadPlan(span, span, None, f"Blocks {span}, as asked.")


def _named(blocks: str, layers: int) -> BlockSpan:
    start, _, end = blocks.partition(":")
    if not (start.isdigit() and end.isdigit() and int(start) < int(end) <= layers):
        raise LoadFailure(f"--blocks {blocks}: the model has blocks 0:{layers}; name A:B with A < B <= {layers}")
    return BlockSpan(int(start), int(end))
