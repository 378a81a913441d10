"""Candidates judged by everybody but their authors: each voter says how likely it finds the others' answers."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from swarm.domain.errors import SwarmError
from swarm.domain.federation import PeerVote
from swarm.domain.generation import TextScore
from swarm.domain.ids import NodeId
from swarm.federation.rules import CrossScores
from swarm.federation.voters import ThisNode, Voter
from swarm.ports.clock import Clock
from swarm.ports.peer_link import PeerLink

MOST_TEXTS = 16
"""Judged by one node in one vote."""


class CrossScoring:
    def __init__(self, this: ThisNode, link: PeerLink, clock: Clock) -> None:
        self._this, self._link, self._clock = this, link, clock

    async def scores(self, voters: Sequence[Voter], votes: Sequence[PeerVote], limit_s: float) -> CrossScores:
        """Of these votes, by those who gave one. Who has not judged within the limit is left out; never raises."""
        authors = {vote.node for vote in votes}
        found: defaultdict[tuple[NodeId, str], dict[NodeId, float]] = defaultdict(dict)
        async with asyncio.TaskGroup() as group:
            judging = {
                group.create_task(self._judge(voter, votes, limit_s, found), name=f"judgement of {voter.node}")
                for voter in voters
                if voter.node in authors
            }
            alarm = group.create_task(self._clock.sleep(limit_s), name="end of judging")
            while judging and not alarm.done():
                _, left = await asyncio.wait({*judging, alarm}, return_when=asyncio.FIRST_COMPLETED)
                judging &= left
            for task in (alarm, *judging):
                task.cancel()
        return dict(found)

    async def _judge(
        self,
        voter: Voter,
        votes: Sequence[PeerVote],
        limit_s: float,
        found: defaultdict[tuple[NodeId, str], dict[NodeId, float]],
    ) -> None:
        others = [vote for vote in votes if vote.node != voter.node and vote.text]
        texts = tuple(dict.fromkeys(vote.text for vote in others))[:MOST_TEXTS]
        try:
            scores = dict(zip(texts, await self._ask(voter, texts, limit_s), strict=True)) if texts else {}
        except SwarmError:
            return
        for vote in others:
            if (score := scores.get(vote.text)) is not None:
                found[vote.node, vote.text][voter.node] = score.mean_logprob

    async def _ask(self, voter: Voter, texts: tuple[str, ...], limit_s: float) -> tuple[TextScore | None, ...]:
        if voter.peer is None:
            return await self._this.scores(voter.request.prompt, texts)
        return await self._link.request_scores(voter.peer, voter.request, texts, limit_s)
