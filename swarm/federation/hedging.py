"""`first_valid` as a stream: who says the first word goes on alone, and the others are stopped.

The second is asked only when the first has said nothing for a while, or at once where it fails: two that generate the
same answer cost twice. After the first word there is no way back, since the client has it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Coroutine, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from swarm.domain.errors import PeerError, SwarmError, Unavailable
from swarm.domain.federation import FederationResult, PeerVote
from swarm.domain.generation import Provenance, TextDelta
from swarm.domain.ids import NodeId
from swarm.federation.ballots import absent_vote, first_result
from swarm.federation.failures import common_failure
from swarm.federation.first_words import FirstWords
from swarm.federation.rules import VoteRules
from swarm.federation.voters import Voter
from swarm.ports.clock import Clock
from swarm.ports.text_source import TextSource

HEDGES = 2
"""Asked because others were silent, at most."""


@dataclass(frozen=True, slots=True)
class Contender:
    voter: Voter
    source: TextSource


@dataclass(frozen=True, slots=True)
class _Said:
    contender: Contender
    delta: TextDelta


@dataclass(frozen=True, slots=True)
class _Failed:
    contender: Contender
    error: Exception


@dataclass(frozen=True, slots=True)
class _Silence:
    """`final`: the deadline for the first word has passed."""

    final: bool


async def first_to_start(
    contenders: Sequence[Contender], rules: VoteRules, clock: Clock, deadline_s: float, first_words: FirstWords
) -> AsyncGenerator[TextDelta, None]:
    """The stream of whoever starts first, in the order given; the last delta has the ballots of all who were tried."""
    async with _Race(contenders, clock, deadline_s, first_words) as race:
        said = await race.wait_until_first_word()
        chosen = said.contender
        first_words.began(chosen.voter.node, race.elapsed_s(chosen))
        await race.stop_others(chosen)
        transcript = _Transcript(chosen, rules.text_limit_chars)
        while said.delta.finish_reason is None:
            transcript.add(said.delta)
            yield said.delta
            said = await race.wait_until_next(chosen)
        transcript.add(said.delta)
        vote = transcript.vote(said.delta, race.elapsed_s(chosen))
        yield _with_decision(said.delta, first_result(vote, race.votes_of_others(chosen), rules))


def _with_decision(last: TextDelta, decision: FederationResult) -> TextDelta:
    vote = decision.winner
    return replace(
        last, provenance=Provenance("federation", (vote.node,), vote.model, vote.model_digest, decision=decision)
    )


class _Transcript:
    """What the chosen contender has said so far."""

    def __init__(self, contender: Contender, limit_chars: int) -> None:
        self._contender, self._limit_chars = contender, limit_chars
        self._pieces: list[str] = []
        self._chars = self._tokens = 0
        self._logprob_sum = 0.0

    def add(self, delta: TextDelta) -> None:
        self._pieces.append(delta.text)
        self._chars += len(delta.text)
        self._tokens += delta.tokens
        self._logprob_sum += delta.logprob_sum
        if self._chars > self._limit_chars:
            raise PeerError(f"{self._contender.voter.status.name} sent more than {self._limit_chars} characters")

    def vote(self, last: TextDelta, latency_s: float) -> PeerVote:
        voter, model = self._contender.voter, self._contender.voter.status.model
        return PeerVote(
            node=voter.node,
            text="".join(self._pieces),
            finish_reason=last.finish_reason,
            tokens=self._tokens,
            mean_logprob=self._logprob_sum / self._tokens if self._tokens else None,
            model=last.provenance.model if last.provenance else model.id if model else "",
            model_digest=last.provenance.model_digest if last.provenance else model.digest if model else "",
            latency_s=latency_s,
            prompt_tokens=last.usage.prompt_tokens if last.usage else 0,
        )


class _Race:
    """Owns one task a contender that was started, and the timers; leaving it ends them all."""

    def __init__(
        self, contenders: Sequence[Contender], clock: Clock, deadline_s: float, first_words: FirstWords
    ) -> None:
        self._waiting, self._clock, self._deadline_s = deque(contenders), clock, deadline_s
        self._first_words = first_words
        # Of length 1, so that nobody generates far ahead of the reader.
        self._events: asyncio.Queue[_Said | _Failed | _Silence] = asyncio.Queue(maxsize=1)
        self._tasks: dict[NodeId | str, asyncio.Task[None]] = {}
        self._started: list[tuple[Contender, float]] = []
        self._errors: dict[NodeId, SwarmError] = {}

    async def __aenter__(self) -> _Race:
        self._first_words.count_request()
        self._start_next()
        if self._started:
            self._own("hedge", self._hedge())
        self._own("deadline", self._ring_at_deadline())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop(self._tasks)

    async def wait_until_first_word(self) -> _Said:
        """Starts the next contender where one fails. Raises where nobody is left or the deadline has passed."""
        while len(self._errors) < len(self._started):
            match await self._events.get():
                case _Said(_, delta) as said if delta.text.strip():
                    return said
                case _Said(contender, delta) if delta.finish_reason is not None:
                    self._fail(contender, PeerError("the answer is empty"))
                case _Failed(contender, error):
                    self._fail(contender, error)
                case _Silence(final=True):
                    raise Unavailable(f"No node began to answer within {self._deadline_s:g} s; try again.")
                case _Silence() if self._first_words.may_hedge:
                    self._start_next()
        raise self._nobody_answered()

    async def wait_until_next(self, contender: Contender) -> _Said:
        """Of the one that goes on alone. Raises its error."""
        while True:
            match await self._events.get():
                case _Said() as said if said.contender is contender:
                    return said
                case _Failed(failed, error) if failed is contender:
                    raise error
                # Anything else is a last word of one that was being stopped.

    async def stop_others(self, contender: Contender) -> None:
        for other, _ in self._started:
            if other is not contender and other.voter.node not in self._errors:
                self._first_words.was_silent(other.voter.node, self.elapsed_s(other))
        await self._stop([key for key in self._tasks if key != contender.voter.node])

    def votes_of_others(self, winner: Contender) -> list[PeerVote]:
        return [
            absent_vote(
                contender.voter.node,
                contender.voter.status.model,
                str(self._errors.get(contender.voter.node, "another one began first")),
                self._clock.now() - started,
            )
            for contender, started in self._started
            if contender is not winner
        ]

    def elapsed_s(self, contender: Contender) -> float:
        return self._clock.now() - next(started for other, started in self._started if other is contender)

    def _start_next(self) -> None:
        if self._waiting:
            contender = self._waiting.popleft()
            if self._started:
                self._first_words.count_extra_call()
            self._started.append((contender, self._clock.now()))
            self._own(contender.voter.node, self._run(contender))

    def _fail(self, contender: Contender, error: Exception) -> None:
        if not isinstance(error, SwarmError):
            raise error
        if contender.voter.node not in self._errors:
            self._errors[contender.voter.node] = error
            self._first_words.failed(contender.voter.node)
            self._start_next()

    def _nobody_answered(self) -> SwarmError:
        if not self._started:
            return Unavailable("No node can answer now; wait until this node or a peer is ready.")
        names = {contender.voter.node: contender.voter.status.name for contender, _ in self._started}
        return common_failure({names[node]: error for node, error in self._errors.items()})

    async def _run(self, contender: Contender) -> None:
        try:
            async with aclosing(contender.source.stream(contender.voter.request)) as deltas:
                async for delta in deltas:
                    await self._events.put(_Said(contender, delta))
            await self._events.put(_Failed(contender, PeerError("the answer stopped in the middle")))
        except Exception as error:
            # Whatever it is, it belongs to whoever waits for the next word.
            await self._events.put(_Failed(contender, error))

    async def _hedge(self) -> None:
        for _ in range(HEDGES):
            latest, _ = self._started[-1]
            await self._clock.sleep(self._first_words.hedge_after_s(latest.voter.node))
            await self._events.put(_Silence(final=False))

    async def _ring_at_deadline(self) -> None:
        await self._clock.sleep(self._deadline_s)
        await self._events.put(_Silence(final=True))

    def _own(self, key: NodeId | str, work: Coroutine[None, None, None]) -> None:
        self._tasks[key] = asyncio.create_task(work, name=f"first word: {key}")

    async def _stop(self, keys: Iterable[NodeId | str]) -> None:
        stopped = [self._tasks[key] for key in keys]
        for task in stopped:
            task.cancel()
        await asyncio.gather(*stopped, return_exceptions=True)
