"""What torch sees of this machine, and what follows for threads and number formats."""

from __future__ import annotations

import os

import psutil
import torch

from swarm.domain.ids import Quantization
from swarm.wire.worker_events import Hardware

TINY_LAYER_BYTES = 8 * 2**20
"""Below this a layer is so small that threads cost more than they gain (2 on 2 busy cores: 4 to 10 times slower)."""


def detect() -> Hardware:
    if torch.cuda.is_available():
        name, memory = torch.cuda.get_device_name(0), torch.cuda.mem_get_info(0)[0]
        return Hardware("cuda", name, memory)
    memory = psutil.virtual_memory().available
    if torch.backends.mps.is_available():
        return Hardware("mps", "Apple GPU", memory)
    return Hardware("cpu", f"{psutil.cpu_count(logical=False) or os.cpu_count()} cores", memory)


def total_memory(device: str) -> int:
    """All memory, free or not, of which a share may be asked for."""
    if device == "cuda":
        return int(torch.cuda.mem_get_info(0)[1])
    return int(psutil.virtual_memory().total)


def choose_dtype(
    device: str, stored: torch.dtype, float32_bytes: int, free_bytes: int, quantization: Quantization = "none"
) -> torch.dtype:
    """As stored on a GPU. On a CPU float32, the fastest and most exact there, where half of memory holds it.

    `float32_bytes`: of the whole model with all that is not quantised in float32. Around weights of 4 bits bfloat16
    everywhere: torch's kernels are made for it."""
    if quantization == "int4":
        return torch.bfloat16
    if device != "cpu":
        return stored
    return torch.float32 if float32_bytes <= free_bytes // 2 else torch.bfloat16


def set_threads(asked: int, layer_bytes: int) -> None:
    """All cores but one, so that the daemon stays quick; one where layers are tiny."""
    cores = psutil.cpu_count(logical=False) or 1
    torch.set_num_threads(asked or (1 if layer_bytes < TINY_LAYER_BYTES else max(1, cores - 1)))
