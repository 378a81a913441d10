"""When an answer is held to its grammar: from its start, behind the reasoning, or from a mark of a call on."""

from __future__ import annotations

from collections.abc import Callable

import torch

from swarm.worker.decoder.grammar.constraint import GrammarConstraint
from swarm.worker.decoder.grammar.vocabulary import GrammarVocabulary
from swarm.worker.decoder.tools.output import OutputReader


class WholeAnswer:
    """The whole answer is one sentence of the grammar, or all that follows the reasoning."""

    def __init__(
        self, vocabulary: GrammarVocabulary, grammar: str, *, thinks: bool = False, may_think: int | None = None
    ) -> None:
        """`thinks`: the answer begins within the reasoning. `may_think`: the token that begins it instead."""
        self._vocabulary = vocabulary
        self._constraint = GrammarConstraint(vocabulary.matcher(grammar), vocabulary)
        self._thinks, self._may_think = thinks, may_think

    @property
    def finished(self) -> bool:
        return not self._thinks and self._constraint.finished

    @property
    def complete(self) -> bool:
        return not self._thinks and self._constraint.complete

    def allowed(self) -> torch.Tensor | None:
        if self._thinks:
            return None
        allowed = self._constraint.allowed()
        if self._may_think is not None:
            allowed[self._may_think] = True
        return allowed

    def take(self, token: int, left: int) -> int:
        if token == self._may_think:
            self._thinks = True
        self._may_think = None
        return token if self._thinks else self._constraint.take(token, left)

    def hear(self, output: OutputReader) -> None:
        """What the last token made of the answer."""
        self._thinks = self._thinks and output.thinking


class CallsOnly:
    """Free text, in which each call is held to the grammar once its mark is written."""

    finished = False
    complete = False

    def __init__(self, vocabulary: GrammarVocabulary, grammar: Callable[[], str]) -> None:
        self._vocabulary, self._grammar = vocabulary, grammar
        self._constraint: GrammarConstraint | None = None

    def allowed(self) -> torch.Tensor | None:
        return self._constraint.allowed() if self._constraint else None

    def take(self, token: int, left: int) -> int:
        if self._constraint is None:
            return token
        token = self._constraint.take(token, left)
        if self._constraint.finished:
            self._constraint = None
        return token

    def hear(self, output: OutputReader) -> None:
        """A mark may have been written, and the beginning of the call with it; one that does not fit stays free."""
        if self._constraint is not None or output.opened is None:
            return
        matcher = self._vocabulary.matcher(self._grammar())
        begun = self._vocabulary.tokens.tokenize_str(output.opened)
        if not matcher.is_error() and matcher.try_consume_tokens(begun) == len(begun):
            self._constraint = GrammarConstraint(matcher, self._vocabulary)
