"""Which votes count. Everything in a vote is a stranger's claim and is checked against the rest of it."""

from __future__ import annotations

import math

from swarm.domain.answers import AnswerForm
from swarm.domain.federation import PeerVote
from swarm.federation.canonical_json import parse_json, why_call_invalid, why_not_of_schema
from swarm.federation.final_answer import visible_text
from swarm.federation.rules import VoteRules

ROUNDING = 1e-6
"""A sum of log-probabilities of certain tokens may come out above 0 by this much."""
CHARS_PER_TOKEN = 12
TOKENS_PER_BYTE = 2
SLACK = 32
"""Tokens or characters by which short texts may miss those rates: end marks, stop texts that were cut off."""
CALLS_LIMIT = 128


def why_invalid(vote: PeerVote, rules: VoteRules) -> str | None:
    """The first reason not to count a vote, in words; None where it counts."""
    if vote.error is not None:
        return vote.error
    if vote.finish_reason is None:
        return "the answer was not finished"
    if _chars(vote) > rules.text_limit_chars:
        return f"the answer is longer than {rules.text_limit_chars} characters"
    if not visible_text(vote.text) and not vote.tool_calls:
        return "the answer is empty"
    return _why_implausible(vote) or _why_not_of_form(vote, rules.form)


def _chars(vote: PeerVote) -> int:
    calls = sum(len(call.name) + len(call.arguments) for call in vote.tool_calls)
    return len(vote.text) + len(vote.reasoning) + calls


def _why_implausible(vote: PeerVote) -> str | None:
    logprob = vote.mean_logprob
    if logprob is not None and not (math.isfinite(logprob) and logprob <= ROUNDING):
        return "its log-probability is not one"
    if not math.isfinite(vote.latency_s) or vote.latency_s < 0:
        return "its latency is not one"
    if _chars(vote) > CHARS_PER_TOKEN * vote.tokens + SLACK:
        return f"{vote.tokens} tokens cannot make so long a text"
    texts = vote.text + vote.reasoning
    written = len(texts.encode(errors="replace")) + _chars(vote) - len(texts)
    if vote.tokens > TOKENS_PER_BYTE * written + SLACK * (1 + len(vote.tool_calls)):
        return f"{vote.tokens} tokens cannot make so short a text"
    return None


def _why_not_of_form(vote: PeerVote, form: AnswerForm) -> str | None:
    if vote.tool_calls:
        return _why_calls_invalid(vote, form)
    if form.must_call:
        return "it calls no tool"
    if form.kind != "json" or vote.finish_reason == "length":
        return None
    try:
        value = parse_json(visible_text(vote.text))
    except ValueError:
        return "the answer is not the JSON that was asked for"
    broken = why_not_of_schema(value, form.schema) if form.schema is not None else None
    return f"the answer breaks the schema that was asked for: {broken}" if broken else None


def _why_calls_invalid(vote: PeerVote, form: AnswerForm) -> str | None:
    if form.kind != "tools":
        return "it calls tools that the request does not offer"
    if len(vote.tool_calls) > CALLS_LIMIT:
        return f"it calls more than {CALLS_LIMIT} tools"
    reasons = (why_call_invalid(call, form.tools) for call in vote.tool_calls)
    return next((reason for reason in reasons if reason is not None), None)
