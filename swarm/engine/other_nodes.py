"""What the worker is told of the chain's other nodes, kept for a worker that is started later. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from swarm.wire.worker_commands import Avoid, Command, Forget, Introduce, Suspect


class OtherNodes:
    """Each change gives the command that tells the worker of it; None where it knows already."""

    def __init__(self) -> None:
        self._introduced: dict[str, None] = {}
        self._suspects: set[str] = set()
        self._avoided: tuple[str, ...] = ()

    @property
    def greeting(self) -> tuple[Command, ...]:
        """For a worker that has just been started."""
        introduce = (Introduce(tuple(self._introduced)),) if self._introduced else ()
        avoid = (Avoid(self._avoided),) if self._avoided else ()
        return (*introduce, *avoid)

    def introduce(self, addresses: Sequence[str]) -> Introduce | None:
        new = tuple(address for address in addresses if address not in self._introduced or address in self._suspects)
        self._introduced.update(dict.fromkeys(new))
        self._suspects.difference_update(new)
        return Introduce(new) if new else None

    def forget(self, addresses: Sequence[str]) -> Forget | None:
        for address in addresses:
            self._introduced.pop(address, None)
            self._suspects.discard(address)
        return Forget(tuple(addresses)) if addresses else None

    def suspect(self, addresses: Sequence[str]) -> Suspect | None:
        self._suspects.update(addresses)
        return Suspect(tuple(addresses)) if addresses else None

    def avoid(self, servers: Sequence[str]) -> Avoid | None:
        if tuple(servers) == self._avoided:
            return None
        self._avoided = tuple(servers)
        return Avoid(self._avoided)
