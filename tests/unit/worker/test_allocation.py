"""What a load frees goes back to the kernel at once, also from between what it keeps."""

import platform
import re
from pathlib import Path

import pytest
import torch

from swarm.worker.families.allocation import weights_apart

MIB = 2**20
PIECES = 12


def own_memory() -> int:
    return int(re.findall(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) * 1024


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators than glibc's are left alone")
def test_wide_weights_leave_no_holes_between_the_narrow_ones() -> None:
    kept, wide = [], []
    with weights_apart():
        before = own_memory()
        for _ in range(PIECES):
            wide.append(torch.ones(8 * MIB, dtype=torch.uint8))
            kept.append(torch.ones(2 * MIB, dtype=torch.uint8))
        del wide[:]
        grown = own_memory() - before
    assert grown < (2 * PIECES + 8) * MIB
    assert len(kept) == PIECES
