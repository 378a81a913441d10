"""Seeds that are derived, not drawn: the same request gives the same candidates again."""

from __future__ import annotations

from hashlib import blake2b


def derived_seed(base: int | str, label: int | str) -> int:
    """A seed of 31 bits that differs, but for chance, with `base` and with `label`; the same on every machine."""
    return int.from_bytes(blake2b(f"{base}/{label}".encode(), digest_size=4).digest(), "big") >> 1
