"""The other servers of the model: by what they announced last, as the planner and as routes see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from petals.data_structures import ServerState

from swarm.worker.chain.contacts import Contacts
from swarm.worker.chain.measures import Measures
from swarm.worker.chain.records import Announcement
from swarm.worker.chain.routing import Offer
from swarm.worker.placement import Place, links_of

NAME_LIMIT, FORMAT_LIMIT = 64, 16
"""Characters that are kept of what a server calls itself, and its number format."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Another node, by its last announcement."""

    place: Place
    is_serving: bool
    is_firm: bool
    """Its blocks are decided, whether it serves them already or loads them."""


class Others:
    """Never this node itself, and nobody who is gone."""

    def __init__(self, own_server: str, layers: int, contacts: Contacts, measures: Measures) -> None:
        self._own, self._layers, self._contacts, self._measures = own_server, layers, contacts, measures
        self._heard: Mapping[str, Announcement] = {}
        self._links: Mapping[str, float] = {}
        self._offers: tuple[Offer, ...] = ()
        self.avoided: frozenset[str] = frozenset()
        """Servers that were found to answer wrongly."""

    def hear(self, heard: Mapping[str, Announcement]) -> None:
        """In place of all that was heard before; of those who serve nothing any more no measures are kept."""
        self._links = links_of(announcement.next_pings or {} for announcement in heard.values())
        self._heard = {server: announcement for server, announcement in heard.items() if server != self._own}
        self._offers = tuple(
            Offer(
                server,
                announcement.span,
                (announcement.public_name or "")[:NAME_LIMIT],
                announcement.block_s,
                number_format=(announcement.torch_dtype or "")[:FORMAT_LIMIT],
            )
            for server, announcement in self._heard.items()
            if announcement.state is ServerState.ONLINE and announcement.span is not None
        )
        self._measures.keep_only({offer.server for offer in self._offers if offer.server})

    def seen(self) -> list[Seen]:
        """Those that serve something, load it, or look for it."""
        return [
            Seen(
                announcement.place(server, self._layers, self.link_s(server)),
                is_serving=announcement.state is ServerState.ONLINE,
                is_firm=announcement.firm,
            )
            for server, announcement in self._heard.items()
            if not self._contacts.is_gone(server) and announcement.state is not ServerState.OFFLINE
        ]

    def link_s(self, server: str) -> float:
        """Seconds to it and back, by all who announced it; also of this node itself."""
        return self._links.get(server, 0.0)

    def offers(self) -> list[Offer]:
        """What they serve; also of those that are avoided."""
        return [offer for offer in self._offers if offer.server and not self._contacts.is_gone(offer.server)]

    @property
    def servers(self) -> list[str]:
        """Those of `offers`, by their libp2p ids."""
        return [offer.server for offer in self.offers() if offer.server]
