"""One answer that is held to a grammar, token by token."""

from __future__ import annotations

from typing import Protocol

import torch
from llguidance import LLMatcher

from swarm.worker.decoder.grammar.closing import shortest_end
from swarm.worker.decoder.grammar.vocabulary import GrammarVocabulary

LOOK_EVERY_TOKENS = 8
FARTHEST_LOOK = 1024
"""Tokens before the limit from which on it is looked how the answer could end."""
MARGIN = 4
"""How many times the tokens that an end takes must be left for the model to write as it likes."""
SPARE_TOKENS = 32


class Constraint(Protocol):
    """Which tokens an answer may go on with. Stateful; the same tokens bring it to the same state."""

    @property
    def finished(self) -> bool:
        """The answer is whole and nothing may follow."""
        ...

    @property
    def complete(self) -> bool:
        """The answer has its form as it stands."""
        ...

    def allowed(self) -> torch.Tensor | None:
        """[vocabulary] of bool; None where every token is."""
        ...

    def take(self, token: int, left: int) -> int:
        """Goes on with this token, or with the one that must be instead, which it returns. `left`: how many tokens the
        answer may still have, with this one. Raises `RuntimeError` where the grammar itself fails."""
        ...


class GrammarConstraint:
    """The whole answer is one sentence of the grammar.

    Where tokens run short, the model's choice is kept only as long as a way to a valid end within the limit is known
    after it; else that way is gone. So an answer is cut off only where no end fits at all."""

    def __init__(self, matcher: LLMatcher, vocabulary: GrammarVocabulary) -> None:
        self._matcher, self._vocabulary = matcher, vocabulary
        self._end: tuple[int, ...] | None = None
        self._taken = 0
        self._narrow = SPARE_TOKENS

    @property
    def finished(self) -> bool:
        return self._matcher.is_stopped()

    @property
    def complete(self) -> bool:
        return self._matcher.is_accepting()

    def allowed(self) -> torch.Tensor:
        return torch.from_numpy(self._vocabulary.allowed(self._matcher))

    def take(self, token: int, left: int) -> int:
        if left <= FARTHEST_LOOK and self._taken % LOOK_EVERY_TOKENS == 0:
            self._look(left)
        self._taken += 1
        if left > self._narrow or token in self._vocabulary.ends:
            self._end = None
            _consume(self._matcher, token)
            return token
        return self._within(token, left)

    def _look(self, left: int) -> None:
        end = self._end or shortest_end(self._matcher, self._vocabulary, left)
        if end is not None:
            self._narrow = max(self._narrow, MARGIN * len(end) + SPARE_TOKENS)

    def _within(self, token: int, left: int) -> int:
        end = self._end if self._end is not None else shortest_end(self._matcher, self._vocabulary, left)
        if end and token == end[0]:
            return self._follow(end)
        after = self._matcher.deep_copy()
        _consume(after, token)
        rest = shortest_end(after, self._vocabulary, left - 1)
        if rest is not None or end is None:
            self._matcher, self._end = after, rest
            return token
        return self._follow(end) if end else self._vocabulary.ends[0]

    def _follow(self, end: tuple[int, ...]) -> int:
        self._end = end[1:]
        _consume(self._matcher, end[0])
        return end[0]


def _consume(matcher: LLMatcher, token: int) -> None:
    """Raises `RuntimeError` where the grammar has grown beyond the library's limits; it would seem finished."""
    if not matcher.consume_token(token):
        raise RuntimeError(f"the grammar of the answer failed: {matcher.get_error()}")
