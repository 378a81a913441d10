"""Asks this node and its peers questions with known answers, when nobody needs them, and records who was right."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from swarm.domain.federation import PeerVote
from swarm.domain.generation import GenerationRequest
from swarm.domain.ids import NodeId, RequestId
from swarm.domain.nodes import Load, PeerInfo
from swarm.federation.canonical import canonical_answer
from swarm.federation.collecting import Ask, Waiting, collect
from swarm.federation.trust.questions import Question, is_right
from swarm.federation.trust.reliability import ESTABLISHED
from swarm.federation.trust.reputation import Examined, Reputation
from swarm.federation.trust.shapes import RecentShapes, examination
from swarm.federation.voters import ThisNode, Voter, choose_voters, pressure
from swarm.ports.clock import Clock
from swarm.ports.peer_link import PeerLink

logger = logging.getLogger(__name__)

EAGERNESS = 4.0
"""Times more often while somebody here has hardly been examined."""
VOTES_PER_EXAMINATION = 20
"""After so many votes one is due even where this node is never idle."""
BUSY = 0.5
"""Share of its slots in use above which a peer is left alone."""


@dataclass(frozen=True, slots=True)
class Pace:
    every_s: float
    """Mean time between two examinations; 0 asks none."""
    fan_out: int
    deadline_s: float


class Examiner:
    """`run` never returns. `new_id` gives ids as real requests have them, and is the only source of chance."""

    def __init__(
        self,
        this: ThisNode,
        peers: Callable[[], tuple[PeerInfo, ...]],
        link: PeerLink,
        reputation: Reputation,
        pace: Pace,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._this, self._peers, self._link, self._clock = this, peers, link, clock
        self._reputation, self._pace, self._new_id = reputation, pace, new_id
        self._random = random.Random(new_id())
        self._votes_since = 0
        self._has_voted = False
        self.shapes = RecentShapes()

    def note(self, request: GenerationRequest) -> None:
        """A vote was asked for: a mould, and a reason to know whom to trust."""
        self.shapes.note(request)
        self._votes_since += 1
        self._has_voted = True

    async def run(self) -> None:
        """Examines nobody before the first vote: who never votes needs no reputation."""
        while True:
            await self._clock.sleep(self._pause_s())
            if self._pace.every_s and self._has_voted and self._is_convenient():
                await self.examine()

    def _pause_s(self) -> float:
        """Random, so that nobody can tell an examination by its time."""
        mean = self._pace.every_s or 3600.0
        if any(self._reputation.record(voter.node).examined < ESTABLISHED for voter in self._voters(None)):
            mean /= EAGERNESS
        return self._random.expovariate(1 / mean)

    def _is_convenient(self) -> bool:
        return self._votes_since >= VOTES_PER_EXAMINATION or _is_idle(self._this.status().load)

    async def examine(self) -> None:
        """One question to this node and its peers; who does not answer in time is not judged."""
        request, asked = examination(RequestId(self._new_id()), self.shapes.draw(self._random), self._random)
        voters = self._voters(request)
        if not any(voter.peer for voter in voters):
            return
        self._votes_since = 0
        waiting = Waiting(self._pace.deadline_s, None, self._this.status().node)
        collected = await collect(
            {voter.node: self._ask(voter) for voter in voters}, lambda *_: False, waiting, self._clock
        )
        answers = _graded(asked, [vote for vote in collected.votes if vote.error is None])
        self._reputation.examined(answers)
        fields = {
            "asked": len(voters),
            "answered": len(answers),
            "right": sum(answer.right for answer in answers.values()),
        }
        logger.debug("an examination has ended", extra={"fields": fields})

    def _voters(self, request: GenerationRequest | None) -> tuple[Voter, ...]:
        """This node, and those peers that are not busy, the least examined first."""
        template = request or GenerationRequest(RequestId(""), "")
        peers = self._peers()
        found = choose_voters(template, self._this.status(), peers, len(peers))
        free = [voter for voter in found if voter.peer is None or pressure(voter.status.load) <= BUSY]
        free.sort(key=lambda voter: (voter.peer is not None, self._reputation.record(voter.node).examined))
        return tuple(free[: self._pace.fan_out + 1])

    def _ask(self, voter: Voter) -> Ask:
        if voter.peer is None:
            return partial(self._this.votes, voter.request, 1)
        return partial(self._link.request_vote, voter.peer, voter.request, self._pace.deadline_s)


def _is_idle(load: Load) -> bool:
    return load.running + load.waiting == 0


def _graded(asked: Question, votes: list[PeerVote]) -> dict[NodeId, Examined]:
    """By node; of several candidates the first, as one of many tries is right too easily."""
    answers: dict[NodeId, Examined] = {}
    for vote in votes:
        is_claim = vote.mean_logprob is not None and math.isfinite(vote.mean_logprob)
        examined = Examined(
            is_right(asked, vote.text), canonical_answer(vote.text).key, vote.mean_logprob if is_claim else None
        )
        answers.setdefault(vote.node, examined)
    return answers
