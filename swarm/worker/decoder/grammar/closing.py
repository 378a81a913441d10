"""How an answer that is held to a form can still be brought to a valid end."""

from __future__ import annotations

import numpy
from llguidance import LLMatcher
from numpy.typing import NDArray

from swarm.worker.decoder.grammar.vocabulary import GrammarVocabulary


def shortest_end(matcher: LLMatcher, vocabulary: GrammarVocabulary, limit: int) -> tuple[int, ...] | None:
    """Tokens after which the answer is valid: a short way, not always the shortest. None where it finds none of at
    most `limit` tokens. The matcher stays as it is."""
    trial, way = matcher.deep_copy(), list[int]()
    used = numpy.zeros(vocabulary.size, dtype=numpy.int64)
    while not trial.is_accepting():
        step = trial.compute_ff_tokens() or _step(trial, vocabulary, used)
        way += step
        if not step or len(way) > limit or not trial.consume_tokens(step):
            return None
    return tuple(way)


def _step(trial: LLMatcher, vocabulary: GrammarVocabulary, used: NDArray[numpy.int64]) -> list[int]:
    """What closes; where nothing does, what was used least, so that it leaves the loops of a grammar."""
    allowed, closing = vocabulary.allowed(trial), vocabulary.closing
    inside = allowed[closing.letters].any()
    closers = closing.of_strings if inside else closing.of_values
    possible = closers[allowed[closers]]
    if len(possible):
        return [int(possible[0])]
    if inside and (last := _last_character(trial, vocabulary, allowed)) is not None:
        return [last]
    others = closing.others[allowed[closing.others]]
    if not len(others):
        return []
    token = int(others[used[others].argmin()])
    used[token] += 1
    return [token]


def _last_character(trial: LLMatcher, vocabulary: GrammarVocabulary, allowed: NDArray[numpy.bool_]) -> int | None:
    """A character after which the string may end: patterns and least lengths forbid it before."""
    closing = vocabulary.closing
    for token in closing.characters[allowed[closing.characters]].tolist():
        if any(trial.validate_tokens([token, quote]) == 2 for quote in closing.quotes):
            return int(token)
    return None
