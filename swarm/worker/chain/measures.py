"""What this node measured of the servers that it uses, itself among them: time of a hop, of a block, of a prompt,
failures, own sequences there.

Safe from any thread: every method does one short thing under a lock.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from swarm.worker.chain.routing import DEFAULT_HOP_S, Offer

NEWEST_SHARE = 0.2
"""Weight of the newest value in a moving average."""
STALE_AFTER_S = 60.0
"""A hop that was slow once is believed in for this long; then its pings say what it would cost."""
STEP_OVERHEAD_S = 0.002
"""What a step takes beyond a ping and the compute of its blocks: packing, queueing, two processes woken (measured)."""
FAILURE_S, FAILURE_LASTS_S = 1.0, 30.0
"""A server that failed is avoided for a while, and used where there is no other."""
SUSPECT_S = 5.0


@dataclass(slots=True)
class _Server:
    hop_s: float | None = None
    block_s: float | None = None
    """Of one token through one block, as it was told with each step."""
    measured_at: float = 0.0
    ping_s: float | None = None
    pinged_at: float = float("-inf")
    prompt_s: float | None = None
    """Of one token of a prompt through one block."""
    failed_at: float = float("-inf")
    is_suspect: bool = False
    sequences: int = 0


class Measures:
    """By libp2p id; None is this node itself."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._lock = now, threading.Lock()
        self._servers: dict[str | None, _Server] = {}

    def pinged(self, server: str, round_trip_s: float) -> None:
        with self._lock:
            known = self._server(server)
            known.ping_s, known.pinged_at = _average(known.ping_s, round_trip_s), self._now()

    def stepped(self, offer: Offer, blocks: int, tokens: int, seconds: float, compute_s: float | None = None) -> None:
        """A step of `tokens` through `blocks` took this long from here; the rest beyond the compute is the hop's.

        `compute_s`: what the server says of the compute. Whatever it claims, both together are what the step took."""
        with self._lock:
            known = self._server(offer.server)
            if tokens > 1:
                known.prompt_s = _average(known.prompt_s, seconds / (tokens * blocks))
                return
            if compute_s is not None and math.isfinite(compute_s):
                block_s = min(max(compute_s, 0.0), seconds) / blocks
                known.block_s = _average(known.block_s, block_s)
            else:
                block_s = offer.sound_block_s
            hop_s = max(seconds - blocks * block_s, known.ping_s or 0.0)
            known.hop_s, known.measured_at = _average(known.hop_s, hop_s), self._now()

    def failed(self, server: str) -> None:
        with self._lock:
            self._server(server).failed_at = self._now()

    def suspect(self, server: str, *, is_suspect: bool) -> None:
        with self._lock:
            self._server(server).is_suspect = is_suspect

    def is_suspect(self, server: str | None) -> bool:
        known = self._servers.get(server)
        return known is not None and known.is_suspect

    def opened(self, server: str | None) -> None:
        with self._lock:
            self._server(server).sequences += 1

    def closed(self, server: str | None) -> None:
        with self._lock:
            self._server(server).sequences -= 1

    def priced(self, offer: Offer) -> Offer:
        """The offer with what its blocks and its hop cost now, and how many sequences of this node run there."""
        with self._lock:
            known = self._servers.get(offer.server, _Server())
            hop_s = 0.0 if offer.server is None else self._hop_s(known) + self._penalty_s(known)
            return replace(offer, block_s=self._block_s(known, offer), hop_s=hop_s, load=known.sequences)

    def expected_s(self, offer: Offer, blocks: int, tokens: int) -> float:
        """What a step of `tokens` through `blocks` should take, without any penalty."""
        with self._lock:
            known = self._servers.get(offer.server, _Server())
            block_s = self._block_s(known, offer)
            if tokens > 1:
                block_s = known.prompt_s or block_s
            hop_s = 0.0 if offer.server is None else self._hop_s(known)
            return hop_s + tokens * blocks * block_s

    def trips(self) -> dict[str, float]:
        """Of all servers that were pinged, as they are announced."""
        with self._lock:
            return {server: known.ping_s for server, known in self._servers.items() if server and known.ping_s}

    def longest_unpinged(self, servers: list[str], count: int) -> list[str]:
        """Which ones to ping next."""
        with self._lock:
            return sorted(servers, key=lambda server: self._servers.get(server, _Server()).pinged_at)[:count]

    def keep_only(self, servers: set[str]) -> None:
        """Forgets servers that are no longer offered and on which nothing runs."""
        with self._lock:
            for server in [*self._servers]:
                if server is not None and server not in servers and self._servers[server].sequences <= 0:
                    del self._servers[server]

    def _server(self, server: str | None) -> _Server:
        return self._servers.setdefault(server, _Server())

    def _hop_s(self, known: _Server) -> float:
        if known.hop_s is not None and self._now() - known.measured_at < STALE_AFTER_S:
            return known.hop_s
        if known.ping_s is not None:
            return known.ping_s + STEP_OVERHEAD_S
        return known.hop_s if known.hop_s is not None else DEFAULT_HOP_S

    def _block_s(self, known: _Server, offer: Offer) -> float:
        if known.block_s is not None and self._now() - known.measured_at < STALE_AFTER_S:
            return known.block_s
        return offer.sound_block_s

    def _penalty_s(self, known: _Server) -> float:
        left = 1 - (self._now() - known.failed_at) / FAILURE_LASTS_S
        return (SUSPECT_S if known.is_suspect else 0.0) + (FAILURE_S * left if left > 0 else 0.0)


def _average(known: float | None, new: float) -> float:
    return new if known is None else known + NEWEST_SHARE * (new - known)
