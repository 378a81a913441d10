"""Peers that come and go: a node whose daemon crashes at every start would get work each time, and lose it."""

from __future__ import annotations

import math
from collections import deque

from swarm.domain.ids import NodeId
from swarm.membership.peer import DEATHS, DEATHS_WITHIN_S, STEADY_S, Peer

MOST_REMEMBERED = 256
"""Nodes; the one that was lost longest ago is forgotten first."""


class Flaps:
    """Who was lost so often is put on trial: shown as a suspect, without new work, until it has lived steadily."""

    def __init__(self) -> None:
        self._lost_at: dict[NodeId, deque[float]] = {}
        self._on_trial: dict[NodeId, Peer] = {}

    def lost(self, node: NodeId, now: float) -> None:
        times = self._lost_at.pop(node, None) or deque(maxlen=DEATHS)
        times.append(now)
        self._lost_at[node] = times
        self._on_trial.pop(node, None)
        if len(self._lost_at) > MOST_REMEMBERED:
            del self._lost_at[next(iter(self._lost_at))]

    def joined(self, peer: Peer, now: float) -> None:
        times = self._lost_at.get(peer.node)
        if times is not None and len(times) == DEATHS and now - times[0] <= DEATHS_WITHIN_S:
            self._on_trial[peer.node] = peer
            peer.on_trial_until = now + STEADY_S

    def answered_again(self, peer: Peer, now: float) -> None:
        """After a silence: the trial begins anew."""
        if peer.is_on_trial:
            peer.on_trial_until = now + STEADY_S

    def end_trials(self, now: float) -> tuple[Peer, ...]:
        """Those who passed."""
        passed = [peer for peer in self._on_trial.values() if now >= peer.on_trial_until and not peer.suspected]
        for peer in passed:
            del self._on_trial[peer.node]
            peer.on_trial_until = -math.inf
        return tuple(passed)
