"""Checked peers: has their blocks computed again while nothing else is to be done, and keeps what comes of it."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import replace

from swarm.domain.events import PeerCheck
from swarm.domain.nodes import Load, PeerInfo
from swarm.engine.engine import Engine
from swarm.membership.checked_peers import CheckedPeers
from swarm.ports.clock import Clock

logger = logging.getLogger(__name__)

JITTER = 0.5
"""Of the pause, more or less: nodes that started together must not all check at once."""
HASTE = 4.0
"""So many times as often, while somebody is to be checked whether it is right again."""


class PeerChecks:
    """`run` starts a check now and then; `hear` is told what was found, and tells the engine and the subscribers."""

    def __init__(
        self,
        engine: Engine,
        peers: Callable[[], tuple[PeerInfo, ...]],
        load: Callable[[], Load],
        every_s: float,
        clock: Clock,
        draw: random.Random,
    ) -> None:
        self._engine, self._peers, self._load, self._every_s = engine, peers, load, every_s
        self._clock, self._draw = clock, draw
        self._checked = CheckedPeers()
        self._subscribers: list[Callable[[PeerCheck], None]] = []

    def subscribe(self, callback: Callable[[PeerCheck], None]) -> None:
        """It is called at once with every finding, and must neither wait nor raise."""
        self._subscribers.append(callback)

    async def run(self) -> None:
        """Never returns, unless checks are switched off."""
        self._engine.hear_checks(self.hear)
        while self._every_s:
            pause_s = self._every_s * self._draw.uniform(1 - JITTER, 1 + JITTER)
            await self._clock.sleep(pause_s / (HASTE if self._avoided() else 1))
            load = self._load()
            self._engine.avoid(self._avoided())
            if not load.running and not load.waiting:
                self._engine.check_peer(self._avoided(), self._busy())

    def hear(self, check: PeerCheck) -> None:
        self._checked.hear(check, self._clock.now())
        self._tell(check)
        self._engine.avoid(self._avoided())
        for subscriber in self._subscribers:
            subscriber(check)

    def annotated(self, peers: Iterable[PeerInfo]) -> tuple[PeerInfo, ...]:
        """The same rows with what the checks found."""
        now = self._clock.now()
        found = ((peer, [self._checked.record(server, now) for server in servers_of(peer)]) for peer in peers)
        return tuple(replace(peer, checks=next(filter(None, records), None)) for peer, records in found)

    def _avoided(self) -> tuple[str, ...]:
        return self._checked.avoided(self._clock.now())

    def _busy(self) -> list[str]:
        return [
            server
            for peer in self._peers()
            if peer.status and (peer.status.load.running or peer.status.load.waiting)
            for server in servers_of(peer)
        ]

    def _tell(self, check: PeerCheck) -> None:
        fields = {"node": check.node, "server": check.server, "blocks": str(check.span)}
        if check.agrees:
            logger.debug("a peer's blocks were computed again and agree", extra={"fields": fields})
            return
        logger.warning(
            "a peer computes its blocks wrongly and is not used until it is right again; look at its memory and files",
            extra={"fields": {**fields, "difference": round(check.difference, 6)}},
        )


def servers_of(peer: PeerInfo) -> list[str]:
    """The libp2p ids that a peer says it has."""
    addresses = peer.status.chain_addresses if peer.status else ()
    return [address.rsplit("/p2p/", 1)[1] for address in addresses if "/p2p/" in address]
