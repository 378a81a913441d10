"""How memory for weights is taken from the kernel, so that a load takes no more than what it holds."""

from __future__ import annotations

import contextlib
import ctypes
import platform
from collections.abc import Iterator

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""`M_TRIM_THRESHOLD` and `M_MMAP_THRESHOLD` of glibc's mallopt."""
WHILE_LOADING = 2**20
OTHERWISE = 32 * 2**20
"""Bytes; where glibc's own adjusting ends as well. Activations below it reuse memory that is not given back."""


@contextlib.contextmanager
def weights_apart() -> Iterator[None]:
    """Within, what is larger than 1 MiB gets memory of its own, and the kernel has it back as soon as it is freed.

    Else weights in few bits come to lie between the wide ones that they were made from, and none of that memory can be
    given back: six times the model in 8 bits at the peak. Elsewhere than with glibc nothing is changed."""
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    adjust = ctypes.CDLL(None).mallopt
    adjust(MMAP_THRESHOLD, WHILE_LOADING)
    try:
        yield
    finally:
        adjust(MMAP_THRESHOLD, OTHERWISE)
        adjust(TRIM_THRESHOLD, 2 * OTHERWISE)
