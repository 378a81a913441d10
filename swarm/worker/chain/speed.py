"""How fast this node's blocks are, measured when they are first served."""

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


def measure_block_s(blocks: Blocks) -> float:
    """Seconds for one token in one block: the median over some decode steps, after one that warms up."""
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
