"""What a node remembers of its votes, kept in its data folder, and the questions by which it gets to know others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from swarm.app.kept_document import KeptDocument
from swarm.app.peer_checks import servers_of
from swarm.domain.events import PeerCheck
from swarm.domain.nodes import PeerInfo
from swarm.federation.decisions import DecisionLog
from swarm.federation.first_words import FirstWords
from swarm.federation.memory import VoteMemory, anchors_of
from swarm.federation.settings import FederationSettings
from swarm.federation.trust.examiner import Examiner, Pace
from swarm.federation.trust.reputation import Reputation
from swarm.federation.voters import ThisNode
from swarm.host.clock import new_id
from swarm.host.folders import DataFolder
from swarm.ports.clock import Clock
from swarm.ports.peer_link import PeerLink

REPUTATION = "reputation.json"


@dataclass(frozen=True, slots=True)
class Votes:
    memory: VoteMemory
    examiner: Examiner
    kept: KeptDocument
    peers: Callable[[], tuple[PeerInfo, ...]]

    def hear(self, check: PeerCheck) -> None:
        """Blames or clears those who say themselves that the server is theirs, whatever it is called in the chain."""
        for peer in self.peers():
            if check.server in servers_of(peer):
                self.memory.reputation.checked(peer.node, check.agrees)

    async def run(self) -> None:
        """Never returns."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.examiner.run(), name="examinations")
            tasks.create_task(self.kept.run(self.memory.reputation.document), name="file of reputations")


def build_votes(
    settings: FederationSettings,
    this: ThisNode,
    peers: Callable[[], tuple[PeerInfo, ...]],
    link: PeerLink,
    folder: DataFolder,
    clock: Clock,
) -> Votes:
    """Reads the file of reputations; one that is damaged is set aside."""
    kept = KeptDocument("reputation", partial(folder.write_json, REPUTATION), clock)
    anchors = anchors_of(settings)
    reputation = Reputation(lambda: anchors(this.status().node), clock.wall, folder.read_json(REPUTATION), kept.changed)
    pace = Pace(settings.examine_every_s, settings.fan_out, settings.deadline_s)
    examiner = Examiner(this, peers, link, reputation, pace, clock, new_id)
    log = DecisionLog(clock, settings.keep_texts)
    return Votes(VoteMemory(reputation, log, FirstWords(), examiner.note), examiner, kept, peers)
