"""A tokenizer's vocabulary as grammars need it: the bytes of every token. Built once a model."""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from llguidance.hf import from_tokenizer
from numpy.typing import NDArray

from swarm.worker.failures import PromptFailure

Tokens = NDArray[numpy.int64]
BLANKS = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class ClosingTokens:
    """Tokens of which answers in JSON can be brought to an end, best first."""

    letters: Tokens
    """Allowed together only inside of a string."""
    characters: Tokens
    """Of one printable character."""
    quotes: tuple[int, ...]
    of_strings: Tokens
    """A quote, and what may be closed behind it."""
    of_values: Tokens
    """Brackets."""
    others: Tokens
    """All the rest, short ones first and blanks last, for they lead nowhere."""


class GrammarVocabulary:
    """Knows nothing about what is generated."""

    def __init__(self, tokenizer: Any, ends: Collection[int], size: int) -> None:
        """`size`: of the model's logits, which may be more than the tokenizer knows.
        Raises `PromptFailure` where the tokenizer's tokens have no bytes of their own."""
        try:
            self.tokens: LLTokenizer = from_tokenizer(tokenizer, max(size, len(tokenizer)), sorted(ends) or None)
        except (ValueError, TypeError, AttributeError, RuntimeError) as error:
            raise PromptFailure(
                f"This model's tokenizer cannot be held to a form: {error}", param="response_format"
            ) from error
        self.size = size
        self.ends = tuple(sorted(ends)) or (int(self.tokens.eos_token),)

    def matcher(self, grammar: str) -> LLMatcher:
        """Never raises: see `LLMatcher.get_error`."""
        return LLMatcher(self.tokens, grammar, log_level=0, limits=LLParserLimits(verbose_errors=False))

    def allowed(self, matcher: LLMatcher) -> NDArray[numpy.bool_]:
        """[size]: the tokens that may come next."""
        bits = numpy.frombuffer(matcher.compute_bitmask(), dtype=numpy.uint8)
        return numpy.unpackbits(bits, bitorder="little")[: self.size].astype(bool)

    @functools.cached_property
    def closing(self) -> ClosingTokens:
        texts = {token: self.tokens.decode_bytes([token]) for token in range(self.size)}
        ordered = sorted((token for token in texts if texts[token]), key=lambda token: _rank(texts[token]))
        return ClosingTokens(
            letters=_those(ordered, lambda token: texts[token] in (b"q", b"Z")),
            characters=_those(ordered, lambda token: len(texts[token]) == 1 and 0x20 < texts[token][0] < 0x7F),
            quotes=tuple(token for token in ordered if texts[token] == b'"'),
            of_strings=_those(ordered[::-1], lambda token: _is_closer(texts[token], of_string=True)),
            of_values=_those(ordered[::-1], lambda token: _is_closer(texts[token], of_string=False)),
            others=_those(ordered, lambda token: not _is_closer(texts[token], of_string=False)),
        )


def _is_closer(text: bytes, *, of_string: bool) -> bool:
    return text[0] == ord('"') if of_string and not text.strip(b'"]}') else not of_string and not text.strip(b"]}")


def _rank(text: bytes) -> tuple[bool, int]:
    return not text.strip(BLANKS), len(text)


def _those(ordered: Sequence[int], fits: Any) -> Tokens:
    return numpy.array([token for token in ordered if fits(token)], dtype=numpy.int64)
