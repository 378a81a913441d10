"""The nodes that are known by any way, each once, with what they answered. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from swarm.doctor.replies import Answered, Refused, Reply, Silent, Strange, Unresolved
from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Advert, Endpoint, PeerInfo

MOST_KNOWN = 64
"""Nodes asked; a flood of adverts must not keep us busy."""
MOST_ADDRESSES = 3
"""Of one node; the best comes first."""
BEST_FIRST: tuple[type[Reply], ...] = (Answered, Strange, Refused, Silent, Unresolved)


@dataclass(frozen=True, slots=True)
class Known:
    endpoints: tuple[Endpoint, ...]
    is_configured: bool = False
    """Named by the operator."""
    advert: Advert | None = None
    """What it announced on mDNS."""
    listed: PeerInfo | None = None
    """Its row in the table of the running daemon."""
    replies: tuple[Reply, ...] = ()
    """Of each endpoint, in the same order; empty before they were asked."""

    @property
    def is_announced(self) -> bool:
        return self.advert is not None

    @property
    def best(self) -> Reply | None:
        return min(self.replies, key=lambda reply: BEST_FIRST.index(type(reply)), default=None)

    @property
    def name(self) -> str:
        """For people: what it calls itself, and where it is."""
        where = self.endpoints[0]
        return f"{self.best.status.name} ({where})" if isinstance(self.best, Answered) else str(where)


def gather_known(
    configured: Iterable[Endpoint],
    adverts: Iterable[Advert],
    listed: Iterable[PeerInfo],
    own: tuple[NodeId, BootId] | None,
) -> tuple[Known, ...]:
    """Merged where they share an address. `own` is the running daemon, which is nobody's peer."""
    found: list[Known] = []
    for advert in adverts:
        if (advert.node, advert.boot) != own:
            _add(found, Known(advert.endpoints[:MOST_ADDRESSES], advert=advert))
    for row in listed:
        _add(found, Known((row.endpoint,), listed=row))
    for endpoint in configured:
        _add(found, Known((endpoint,), is_configured=True))
    return tuple(found[:MOST_KNOWN])


def _add(found: list[Known], new: Known) -> None:
    for place, old in enumerate(found):
        both_announced = old.advert is not None and new.advert is not None
        if set(old.endpoints) & set(new.endpoints) and not both_announced:
            found[place] = replace(
                old,
                is_configured=old.is_configured or new.is_configured,
                listed=old.listed or new.listed,
            )
            return
    found.append(new)


def with_replies(known: Iterable[Known], replies: Mapping[Endpoint, Reply]) -> tuple[Known, ...]:
    return tuple(replace(one, replies=tuple(replies[endpoint] for endpoint in one.endpoints)) for one in known)
