"""A peer's blocks are computed again, here or at another node, and compared: who answers wrongly is found.

The choices are pure; `PeerChecker` asks. A server that does not answer, or is slow, is not wrong.
"""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from swarm.domain.nodes import BlockSpan
from swarm.worker.chain.attempts import Runner
from swarm.worker.chain.routing import Hop, Offer

logger = logging.getLogger(__name__)

MOST_BLOCKS = 8
"""Compared at once: noise grows with every block, and a check must cost next to nothing."""
FEWEST_TOKENS, MOST_TOKENS, SINGLE_STEPS = 6, 12, 3
"""Fed as a prompt, and then one by one: a server must not know a check from a short stream."""
STEP_LIMIT_S = 10.0
LIMITS = {"float32": 0.005, "float16": 0.03, "bfloat16": 0.1}
"""By the coarser number format of the two, the difference that is still noise: some ten times what honest nodes show
over `MOST_BLOCKS` blocks (float32: order of summation; the others: rounding after each layer)."""
UNKNOWN_FORMAT = "bfloat16"
WORST = 1e6
"""The difference of what cannot be compared: another shape, or not finite."""
SHARE_OF_TOKENS = 0.75
"""So many tokens must be within the limit: rounding may send single ones to another expert of a mixture."""
Answers = Mapping[str | None, torch.Tensor]
"""By server; None is this node."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`subject` is compared with `reference` over `span`; `witnesses` can do the same where the two disagree."""

    subject: Offer
    reference: Offer
    span: BlockSpan
    witnesses: tuple[Offer, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """`difference` as of `difference_of`, of the last comparison."""

    server: str
    node: str
    span: BlockSpan
    agrees: bool
    difference: float


def choose_check(offers: Sequence[Offer], prefer: Collection[str], draw: random.Random) -> Plan | None:
    """Whom to check with whom, and over which blocks; own blocks are the reference wherever they can be.

    None where no block is served twice. `prefer`: servers that are looked at first."""
    pairs = [
        (subject, reference)
        for subject in offers
        if subject.server is not None
        for reference in offers
        if reference.server != subject.server and _common(subject, reference) is not None
    ]
    pairs = [pair for pair in pairs if pair[0].server in prefer] or pairs
    if not pairs:
        return None
    subject = draw.choice(sorted({pair[0].server or "" for pair in pairs}))
    pairs = [pair for pair in pairs if pair[0].server == subject]
    chosen = draw.choice([pair for pair in pairs if pair[1].server is None] or pairs)
    span = _part_of(_common(*chosen) or chosen[0].span, draw)
    witnesses = [offer for offer in offers if offer.server not in (subject, chosen[1].server) and _holds(offer, span)]
    return Plan(*chosen, span, tuple(draw.sample(witnesses, min(2, len(witnesses)))))


def _common(one: Offer, other: Offer) -> BlockSpan | None:
    start, end = max(one.span.start, other.span.start), min(one.span.end, other.span.end)
    return BlockSpan(start, end) if start < end else None


def _part_of(span: BlockSpan, draw: random.Random) -> BlockSpan:
    count = draw.randint(1, min(len(span), MOST_BLOCKS))
    start = draw.randint(span.start, span.end - count)
    return BlockSpan(start, start + count)


def _holds(offer: Offer, span: BlockSpan) -> bool:
    return offer.span.start <= span.start and span.end <= offer.span.end


def difference_of(one: torch.Tensor, other: torch.Tensor) -> float:
    """How far two results [1, tokens, hidden] are apart, relative to the second, at the worst of `SHARE_OF_TOKENS`."""
    if one.shape != other.shape:
        return WORST
    one, other = one.double(), other.double()
    per_token = (one - other).norm(dim=-1) / other.norm(dim=-1).clamp_min(1e-12)
    if not torch.isfinite(per_token).all():
        return WORST
    return min(WORST, float(per_token.flatten().quantile(SHARE_OF_TOKENS, interpolation="higher")))


def limit_for(formats: Collection[str]) -> float:
    """What `difference_of` may be between nodes that compute in these formats; an unknown one counts as coarse."""
    return max(LIMITS.get(name, LIMITS[UNKNOWN_FORMAT]) for name in formats)


def find_wrong(subject: str, reference: str | None, answers: Answers, limit: float) -> tuple[str | None, ...]:
    """Which of two that disagree is wrong, by those witnesses that agree with one of them.

    Without such a witness this node believes itself, and nobody where both are others: then it is empty."""
    with_subject = with_reference = 0
    for server, answer in answers.items():
        if server not in (subject, reference):
            with_subject += difference_of(answer, answers[subject]) <= limit
            with_reference += difference_of(answer, answers[reference]) <= limit
    if with_subject > with_reference:
        return (reference,)
    return (subject,) if with_reference > with_subject or reference is None else ()


class Offered(Protocol):
    """Who offers what, also those that routes avoid."""

    def candidates(self) -> list[Offer]: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """How a check reaches what it compares."""

    offered: Offered
    open_runner: Callable[[Hop, int], Runner]
    """Takes the number of tokens that the sequence may get."""
    embed: Callable[[Sequence[int]], torch.Tensor]
    """Token ids to [1, tokens, hidden], as before the first block."""
    vocabulary: int
    is_idle: Callable[[], bool]


class PeerChecker:
    """Runs checks, one after another, in the caller's thread."""

    def __init__(self, surroundings: Surroundings, draw: random.Random) -> None:
        self._around, self._draw = surroundings, draw

    def check(self, prefer: Collection[str] = (), without: Collection[str] = ()) -> Finding | None:
        """Compares one server with this node or another server. `without`: servers that are busy.

        None where there is nothing to compare, nobody answered, this node has work, or nobody can be blamed."""
        offers = [offer for offer in self._around.offered.candidates() if offer.server not in without]
        plan = choose_check(offers, prefer, self._draw)
        if plan is None:
            return None
        limit = limit_for({plan.subject.number_format, plan.reference.number_format})
        for _ in range(2):  # what is wrong is wrong twice
            answers = self._answers(plan, (plan.subject, plan.reference))
            if answers is None:
                return None
            difference = difference_of(answers[plan.subject.server], answers[plan.reference.server])
            if difference <= limit:
                return _finding(plan.subject, plan.span, True, difference)
        return self._judge(plan, difference)

    def _judge(self, plan: Plan, difference: float) -> Finding | None:
        offers = (plan.subject, plan.reference, *plan.witnesses)
        answers = self._answers(plan, offers) or self._answers(plan, offers[:2])
        if answers is None:
            return None
        assert plan.subject.server is not None
        limit = limit_for({offer.number_format for offer in offers if offer.server in answers})
        wrong = find_wrong(plan.subject.server, plan.reference.server, answers, limit)
        if not wrong:
            _tell_undecided(plan, difference)
            return None
        return _finding(next(offer for offer in offers if offer.server in wrong), plan.span, False, difference)

    def _answers(self, plan: Plan, offers: Sequence[Offer]) -> Answers | None:
        """What each makes of the same new hidden states; None where one does not answer or this node has work."""
        pieces = self._pieces(plan.span)
        answers: dict[str | None, torch.Tensor] = {}
        for offer in offers:
            made = self._run(Hop(offer, plan.span), pieces) if pieces else None
            if made is None:
                return None
            answers[offer.server] = made
        return answers

    def _pieces(self, span: BlockSpan) -> list[torch.Tensor]:
        """Plausible hidden states before `span`: random tokens through the blocks before it where they are here, else
        noise of the size of embedded tokens. Empty where this node has work."""
        count = self._draw.randint(FEWEST_TOKENS, MOST_TOKENS)
        hidden = self._around.embed([self._draw.randrange(self._around.vocabulary) for _ in range(count)])
        if span.start:
            own = next((offer for offer in self._around.offered.candidates() if offer.server is None), None)
            before = BlockSpan(0, span.start)
            if own is None or not _holds(own, before):
                noise = torch.Generator().manual_seed(self._draw.getrandbits(63))
                scale = hidden.float().std().item()
                hidden = (torch.randn(hidden.shape, generator=noise) * scale).to(hidden.dtype)
            elif (made := self._run(Hop(own, before), [hidden])) is not None:
                hidden = made
            else:
                return []
        prompt = hidden.shape[1] - SINGLE_STEPS
        return list(hidden.split([prompt, *[1] * SINGLE_STEPS], dim=1))

    def _run(self, hop: Hop, pieces: Sequence[torch.Tensor]) -> torch.Tensor | None:
        """None where it does not answer, or this node has got work."""
        made: list[torch.Tensor] = []
        try:
            with contextlib.closing(self._around.open_runner(hop, sum(piece.shape[1] for piece in pieces))) as runner:
                for piece in pieces:
                    if not self._around.is_idle():
                        return None
                    made.append(runner.begin(piece).result(STEP_LIMIT_S))
            return torch.cat(made, dim=1)
        except Exception as error:  # a server that is gone, full, or of another opinion about the protocol
            logger.info("a check got no answer", extra={"fields": {"server": hop.server, "problem": str(error)}})
            return None


def _finding(offer: Offer, span: BlockSpan, agrees: bool, difference: float) -> Finding | None:
    if offer.server is None:
        logger.error(
            "two other nodes agree that this node computes its blocks wrongly; check its memory and its model's files",
            extra={"fields": {"blocks": str(span), "difference": difference}},
        )
        return None
    return Finding(offer.server, offer.node, span, agrees, difference)


def _tell_undecided(plan: Plan, difference: float) -> None:
    fields = {"servers": [plan.subject.server, plan.reference.server], "blocks": str(plan.span)}
    logger.warning(
        "two nodes compute the same blocks differently, and no third one can say which is wrong",
        extra={"fields": {**fields, "difference": difference}},
    )
