"""Which votes count. Everything in a vote is a stranger's claim and is checked against the rest of it."""

from __future__ import annotations

import math

from swarm.domain.federation import PeerVote
from swarm.federation.final_answer import visible_text

ROUNDING = 1e-6
"""A sum of log-probabilities of certain tokens may come out above 0 by this much."""
CHARS_PER_TOKEN = 12
TOKENS_PER_BYTE = 2
SLACK = 32
"""Tokens or characters by which short texts may miss those rates: end marks, stop texts that were cut off."""


def why_invalid(vote: PeerVote, text_limit_chars: int) -> str | None:
    """The first reason not to count a vote, in words; None where it counts."""
    if vote.error is not None:
        return vote.error
    if vote.finish_reason is None:
        return "the answer was not finished"
    if len(vote.text) > text_limit_chars:
        return f"the answer is longer than {text_limit_chars} characters"
    if not visible_text(vote.text):
        return "the answer is empty"
    return _why_implausible(vote)


def _why_implausible(vote: PeerVote) -> str | None:
    logprob = vote.mean_logprob
    if logprob is not None and not (math.isfinite(logprob) and logprob <= ROUNDING):
        return "its log-probability is not one"
    if not math.isfinite(vote.latency_s) or vote.latency_s < 0:
        return "its latency is not one"
    if len(vote.text) > CHARS_PER_TOKEN * vote.tokens + SLACK:
        return f"{vote.tokens} tokens cannot make so long a text"
    if vote.tokens > TOKENS_PER_BYTE * len(vote.text.encode(errors="replace")) + SLACK:
        return f"{vote.tokens} tokens cannot make so short a text"
    return None
