"""How fast this node's blocks are: measured at load, kept current while serving."""

from __future__ import annotations

import contextlib
import time

import torch

from swarm.domain.nodes import BlockSpan
from swarm.worker.families.blocks import Blocks

STEPS = 10
BLOCKS = 4
"""Measured at load; the others are alike."""
LONGEST_S = 1.0
"""What the measurement may take: on a slow machine fewer steps must do."""
WEIGHT = 0.05
"""Of the newest step in the moving average."""


class BlockSpeed:
    """A moving average of the seconds that one token takes in one block."""

    def __init__(self) -> None:
        self.block_s: float | None = None

    def note(self, seconds: float, blocks: int) -> None:
        """A step of one token went through so many blocks. From any thread; a lost update does no harm."""
        new = seconds / max(1, blocks)
        self.block_s = new if self.block_s is None else (1 - WEIGHT) * self.block_s + WEIGHT * new


def measure_block_s(blocks: Blocks) -> float:
    """The median over some decode steps, after one that warms up."""
    first = min(blocks.layers)
    end = first
    while end in blocks.layers and end - first < BLOCKS:
        end += 1
    span = BlockSpan(first, end)
    hidden = torch.zeros(1, 1, blocks.config.hidden_size)
    taken: list[float] = []
    give_up = time.perf_counter() + LONGEST_S
    with contextlib.closing(blocks.new_cache(span, STEPS + 1)) as cache:
        for _ in range(STEPS + 1):
            started = time.perf_counter()
            blocks.forward(hidden, cache).cpu()
            taken.append(time.perf_counter() - started)
            if time.perf_counter() > give_up:
                break
    steps = sorted(taken[1:] or taken)
    return steps[len(steps) // 2] / len(span)
