"""The records of a model's blocks in the DHT: written for this node, read for all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import SimpleNamespace

from hivemind.dht.node import DHTNode
from petals.data_structures import ServerState
from petals.utils.dht import _declare_active_modules

from swarm.domain.nodes import ModelInfo
from swarm.worker.chain.clock import SwarmClock
from swarm.worker.chain.records import Announcement, newest_announcements

EXPIRES_AFTER_S = 30.0
"""A record must outlive a few lost announcements and a clock that is some seconds off; who is gone is known sooner,
from the daemon's probes (`ChainNode.forget`)."""
WORKERS = 32
"""Concurrent DHT requests of one look-up."""


class Directory:
    """Keys are Petals': `swarm-<model digest>.<block>`."""

    def __init__(self, dht: DHTNode, model: ModelInfo, clock: SwarmClock) -> None:
        self._dht, self._layers, self._clock = dht, model.layers, clock
        self.prefix = f"swarm-{model.digest}"

    def uid(self, index: int) -> str:
        return f"{self.prefix}.{index}"

    async def declare(self, announcement: Announcement, left: frozenset[int] = frozenset()) -> None:
        """Under each block of its span; under those of `left` that the node serves them no more.

        The latter is for those who read block by block, as Petals' clients do. It expires a little earlier, so that it
        is never taken for this node's last word."""
        expiration = self._clock.time() + EXPIRES_AFTER_S
        if span := announcement.span:
            await self._store(range(span.start, span.end), announcement, expiration)
        if left:
            offline = Announcement(ServerState.OFFLINE, 0.0, public_name=announcement.public_name)
            await self._store(sorted(left), offline, expiration - 0.001)

    async def read(self) -> Mapping[str, Announcement]:
        """The last word of each server of this model."""
        uids = [self.uid(index) for index in range(self._layers)]
        found = await self._dht.get_many(uids, math.inf, num_workers=min(len(uids), WORKERS))
        return newest_announcements(found.values(), self._layers, self._clock.time() + 2 * EXPIRES_AFTER_S)

    async def _store(self, blocks: range | list[int], announcement: Announcement, expiration: float) -> None:
        # What Petals' function asks of the `DHT` object that it is given beside the node.
        asked = SimpleNamespace(num_workers=WORKERS, peer_id=self._dht.peer_id)
        uids = [self.uid(index) for index in blocks]
        await _declare_active_modules(asked, self._dht, uids, announcement, expiration_time=expiration)
