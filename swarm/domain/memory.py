"""How much memory something may take, as people write it. Pure."""

from __future__ import annotations

import re

UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_NUMBER = r"(\d{1,9}(?:\.\d{1,6})?)"
_SIZE = re.compile(rf"{_NUMBER}\s?({'|'.join(UNITS)})", re.ASCII)
_SHARE = re.compile(rf"{_NUMBER}\s?%", re.ASCII)


def is_memory_limit(text: str) -> bool:
    """Empty, a size such as `2GiB` or `500 MB`, or a share such as `50%`, above 0 and at most 100 %."""
    if text == "":
        return True
    if share := _SHARE.fullmatch(text.strip()):
        return 0 < float(share[1]) <= 100
    size = _SIZE.fullmatch(text.strip())
    return size is not None and float(size[1]) > 0


def within_limit(text: str, free_bytes: int, total_bytes: int) -> int:
    """What may be taken of the free memory; a share is one of all memory. `text` is a memory limit."""
    if text == "":
        return free_bytes
    if share := _SHARE.fullmatch(text.strip()):
        return min(free_bytes, int(total_bytes * float(share[1]) / 100))
    size = _SIZE.fullmatch(text.strip())
    if size is None:
        raise ValueError(f"{text!r} is no memory limit")
    return min(free_bytes, int(float(size[1]) * UNITS[size[2]]))
