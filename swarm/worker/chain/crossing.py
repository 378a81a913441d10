"""A step that one leg failed, or is late with: by itself after all, or by those that take its place."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass
from typing import Protocol

import torch

from swarm.domain.coverage import coverage_of, what_is_unserved
from swarm.domain.nodes import BlockSpan
from swarm.worker.chain.attempts import Attempt, HopFailed, Leg, Runner
from swarm.worker.chain.measures import Measures
from swarm.worker.chain.passage import Passage
from swarm.worker.chain.routing import Hop, Offer, choose_route
from swarm.worker.failures import BlocksMissing, Cancelled

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.25
"""How often a session that waits looks whether it is cancelled, a server is suspected, or another one has come."""
SAME_AGAIN_AFTER_S = 0.5
"""A server that failed is asked again after this where there is no other: a lost one may have come back."""
PREFILL_S_PER_TOKEN = 0.25
"""A prompt is waited for this long where nobody else could read it: a slow processor is not a dead server."""
OPENED_ANEW = 3
"""Between the choice of a route and its opening this node may have exchanged its own blocks for others."""
AT_ONCE = 2
"""Ways tried at the same time, each with the work of feeding the whole past again."""


class Routes(Protocol):
    """Who offers what now."""

    @property
    def layers(self) -> int: ...

    @property
    def measures(self) -> Measures: ...

    def offers(self, without: frozenset[str] = frozenset()) -> list[Offer]: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a session is given: servers to choose from, how to reach them, and how long to look for them."""

    routes: Routes
    open_runner: Callable[[Hop], Runner]
    repair_s: float
    """How long other nodes are looked for when one is lost."""
    is_cancelled: Callable[[], bool]

    def open(self, span: BlockSpan, without: frozenset[str] = frozenset()) -> list[Leg] | None:
        """None where a block of `span` is served by nobody."""
        for _ in range(OPENED_ANEW):
            route = choose_route(self.routes.offers(without), span)
            if route is None:
                break
            with contextlib.suppress(HopFailed):
                return self._legs(route)
        return None

    def _legs(self, route: Sequence[Hop]) -> list[Leg]:
        with contextlib.ExitStack() as opened:
            legs: list[Leg] = []
            for hop in route:
                legs.append(Leg(hop, self.open_runner(hop), self.routes.measures))
                opened.callback(legs[-1].close)
            opened.pop_all()
            return legs

    def missing(self, span: BlockSpan, without: frozenset[str] = frozenset()) -> BlocksMissing:
        """Names what is missing, at least `span`, and what would fill it."""
        served = (offer.span for offer in self.routes.offers(without))
        missing = coverage_of(served, self.routes.layers).missing or (span,)
        told = what_is_unserved(missing)
        return BlocksMissing(told[0].upper() + told[1:])


class Crossing:
    """Used once, by one thread. Closes every leg that it opened and that did not win, and `leg` where another won."""

    def __init__(self, around: Surroundings, passage: Passage) -> None:
        assert passage.attempt is not None
        self._around, self._leg, self._hidden = around, passage.leg, passage.hidden
        self._own, self._failure = passage.attempt, passage.failure
        self._begun_at = self._own.piece_at
        self._attempts = [self._own]
        self._failed: dict[str, float] = {}
        self._give_up_at: float | None = None
        """None while nothing went wrong."""

    def result(self) -> tuple[list[Leg], torch.Tensor]:
        """The legs that now stand for these blocks, and [1, tokens, hidden] of at least the last piece.

        Raises `BlocksMissing`, `Cancelled`."""
        try:
            if self._failure:
                self._lose(self._own, self._leg, str(self._failure))
            self._look_around()
            while (won := self._first_result()) is None:
                self._look_around()
        except BaseException:
            self._end_all_but(self._own)
            raise
        winner, made = won
        self._end_all_but(winner)
        if winner is not self._own:
            self._leg.close()
            fields = {
                "blocks": str(self._leg.hop.span),
                "lost": self._leg.name,
                "now": [leg.name for leg in winner.legs],
            }
            logger.warning("a hop was made again elsewhere", extra={"fields": fields})
        elif self._give_up_at is not None:
            self._leg.was_only_busy()
        return list(winner.legs), made

    def _end_all_but(self, kept: Attempt) -> None:
        for attempt in self._attempts:
            if attempt is self._own and attempt is not kept:
                attempt.pending.cancel()
            elif attempt is not kept:
                attempt.close()

    def _first_result(self) -> tuple[Attempt, torch.Tensor] | None:
        """Waits until an attempt has gone on, or it is time to look around."""
        now = time.monotonic()
        next_late = min((at - now for each in self._attempts if (at := each.late_at) > now), default=LOOK_EVERY_S)
        pause = min(LOOK_EVERY_S, max(next_late, 0.001))
        if not self._attempts:
            time.sleep(pause)
            return None
        done, _ = wait([attempt.pending for attempt in self._attempts], pause, FIRST_COMPLETED)
        for attempt in [attempt for attempt in self._attempts if attempt.pending in done]:
            leg = attempt.leg
            try:
                made = attempt.advance()
            except HopFailed as error:
                self._lose(attempt, leg, str(error))
                continue
            if made is not None:
                return attempt, made
        return None

    def _lose(self, attempt: Attempt, leg: Leg, why: str) -> None:
        self._attempts.remove(attempt)
        if attempt is not self._own:
            attempt.close()
        leg.note_failure()
        if leg.hop.server:
            self._failed[leg.hop.server] = time.monotonic()
        self._note_trouble(leg, why)

    def _note_trouble(self, leg: Leg, why: str) -> None:
        logger.warning("a hop is in trouble", extra={"fields": {"node": leg.name, "why": why}})
        if self._give_up_at is None:
            repair_s = self._around.repair_s
            self._give_up_at = max(self._begun_at + repair_s, time.monotonic() + repair_s / 2)

    def _look_around(self) -> None:
        if self._around.is_cancelled():
            raise Cancelled
        now = time.monotonic()
        if any(attempt.late_at > now for attempt in self._attempts):
            return
        for attempt in self._attempts:
            if self._give_up_at is None:
                self._note_trouble(attempt.leg, f"no answer for {now - attempt.piece_at:.1f} s")
        if self._try_another():
            return
        assert self._give_up_at is not None
        if now >= self._give_up_at and all(_is_over(attempt, now) for attempt in self._attempts):
            raise self._around.missing(self._leg.hop.span, self._avoided())

    def _try_another(self) -> bool:
        """Beside those that are late; a second that is late as well makes way for a third."""
        legs = self._around.open(self._leg.hop.span, self._avoided())
        if legs is None:
            recent = time.monotonic() - SAME_AGAIN_AFTER_S
            self._failed = {server: at for server, at in self._failed.items() if at > recent}
            return False
        if len(self._attempts) == AT_ONCE:
            last = self._attempts[-1]
            self._lose(last, last.leg, "it is late as well")
        self._attempts.append(Attempt(legs, self._leg.history(self._hidden)))
        return True

    def _avoided(self) -> frozenset[str]:
        return frozenset(self._failed).union(*(attempt.servers for attempt in self._attempts))


def _is_over(attempt: Attempt, now: float) -> bool:
    return now >= attempt.piece_at + PREFILL_S_PER_TOKEN * attempt.piece_tokens
