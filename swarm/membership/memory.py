"""Keeps the file of known peers: written soon after the membership changed, off the event loop, and never often."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from swarm.domain.events import MembershipEvent
from swarm.domain.ids import NodeId
from swarm.domain.nodes import Endpoint, PeerInfo
from swarm.membership.known_peers import from_document, still_known, to_document
from swarm.ports.clock import Clock

logger = logging.getLogger(__name__)

WRITE_EVERY_S = 10.0
REFRESH_EVERY_S = 6 * 3600.0
"""Where nothing changes, so that a peer of long standing is not taken for one that was last seen a week ago."""


class PeerMemory:
    """`write` puts the document on the disk; it may wait, and may raise `OSError`."""

    def __init__(
        self,
        document: Mapping[str, Any] | None,
        peers: Callable[[], tuple[PeerInfo, ...]],
        write: Callable[[Mapping[str, Any]], None],
        clock: Clock,
    ) -> None:
        self._peers, self._write, self._clock = peers, write, clock
        self._known = from_document(document, clock.wall())
        self._has_changed = asyncio.Event()
        self._has_failed = False

    def known(self) -> tuple[tuple[NodeId, Endpoint], ...]:
        return tuple((peer.node, peer.endpoint) for peer in self._known)

    def hear(self, _event: MembershipEvent) -> None:
        self._has_changed.set()

    async def run(self) -> None:
        """Never returns."""
        while True:
            await self._wait_until_due()
            self._has_changed.clear()
            self._known = still_known(self._known, self._peers(), self._clock.wall())
            await self._save()
            await self._clock.sleep(WRITE_EVERY_S)

    async def _wait_until_due(self) -> None:
        """An event, or `REFRESH_EVERY_S` without one."""
        async with asyncio.TaskGroup() as waiting:
            refresh = waiting.create_task(self._clock.sleep(REFRESH_EVERY_S), name="refresh of the known peers")
            refresh.add_done_callback(lambda _: self._has_changed.set())
            await self._has_changed.wait()
            refresh.cancel()

    async def _save(self) -> None:
        try:
            await asyncio.to_thread(self._write, to_document(self._known))
        except OSError as error:
            if not self._has_failed:
                fields = {"problem": error.strerror or type(error).__name__}
                logger.warning(
                    "the known peers were not written; the next start may miss some", extra={"fields": fields}
                )
            self._has_failed = True
        else:
            self._has_failed = False
