"""What can be set about weights that nodes hand to each other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WeightsSettings:
    share: bool = True
    """Hand the weights of this node's model to others that ask for them."""
    fetch: bool = True
    """Get weights that are not here from other nodes, before any hub is asked."""
    rate_limit_mbit: float = 0.0
    """Mbit/s that are sent at most, and that are fetched at most; 0: no limit."""
    disk_limit_gib: float = 0.0
    """GiB that fetched weights may take on disk; 0: no limit but the disk's."""
    look_s: float = 5.0
    """How long it is looked for a node that has the model, before the hub is asked."""
    patience_s: float = 60.0
    """How long no piece may come before fetching is given up, and begun anew with the worker."""
