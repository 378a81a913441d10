"""Log-probabilities that a peer tells, in either of OpenAI's shapes or in the swarm's own. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from swarm.domain.tokens import LEAST_LOGPROB, TokenLogprob, TopLogprob
from swarm.membership.strangers import sound_text
from swarm.wire.codec import MalformedMessage, from_plain

MOST_ALTERNATIVES = 20


@dataclass(frozen=True, slots=True)
class _Entry:
    token: str
    logprob: float | None = None
    bytes: tuple[int, ...] | None = None
    top_logprobs: tuple[_Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class _Chat:
    content: tuple[_Entry, ...] | None = None


@dataclass(frozen=True, slots=True)
class _Lists:
    tokens: tuple[str, ...]
    token_logprobs: tuple[float | None, ...]
    top_logprobs: tuple[dict[str, float] | None, ...]


def read_logprobs(plain: dict[str, Any]) -> tuple[TokenLogprob, ...]:
    """Of one chunk, of chat completions or of completions, which tell no bytes. Raises `MalformedMessage`."""
    if "tokens" not in plain:
        return tuple(map(_token, from_plain(_Chat, plain).content or ()))
    lists = from_plain(_Lists, plain)
    if not len(lists.tokens) == len(lists.token_logprobs) == len(lists.top_logprobs):
        raise MalformedMessage("the lists of `logprobs` have different lengths")
    entries = zip(lists.tokens, lists.token_logprobs, lists.top_logprobs, strict=True)
    return tuple(
        _token(_Entry(token, logprob, None, tuple(_Entry(other, known) for other, known in (top or {}).items())))
        for token, logprob, top in entries
    )


def checked_logprobs(told: Sequence[TokenLogprob], text: str) -> tuple[TokenLogprob, ...]:
    """As a peer's vote has them; nothing where they are not those of its text."""
    if "".join(token.token for token in told) != text:
        return ()
    return tuple(
        replace(
            token,
            token=sound_text(token.token),
            raw=_bytes(token.raw, token.token),
            logprob=None if token.logprob is None else _bounded(token.logprob),
            top=tuple(_top(_Entry(top.token, top.logprob, top.raw)) for top in token.top[:MOST_ALTERNATIVES]),
        )
        for token in told
    )


def _token(entry: _Entry) -> TokenLogprob:
    top = tuple(_top(other) for other in entry.top_logprobs[:MOST_ALTERNATIVES])
    logprob = None if entry.logprob is None else _bounded(entry.logprob)
    return TokenLogprob(sound_text(entry.token), _bytes(entry.bytes, entry.token), logprob, top)


def _top(entry: _Entry) -> TopLogprob:
    logprob = LEAST_LOGPROB if entry.logprob is None else entry.logprob
    return TopLogprob(sound_text(entry.token), _bytes(entry.bytes, entry.token), _bounded(logprob))


def _bytes(told: Sequence[int] | None, token: str) -> tuple[int, ...]:
    if told is None or any(not 0 <= byte < 256 for byte in told):
        return tuple(sound_text(token).encode())
    return tuple(told)


def _bounded(logprob: float) -> float:
    return min(0.0, max(LEAST_LOGPROB, logprob))
