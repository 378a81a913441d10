"""Log-probabilities in the shapes of the two endpoints."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from swarm.domain.tokens import TokenLogprob, TopLogprob


def chat_logprobs(tokens: Iterable[TokenLogprob]) -> dict[str, Any]:
    """`bytes` of all entries, joined, are the text, also where a character is split."""
    entries = [{**_entry(token), "top_logprobs": [_entry(top) for top in token.top]} for token in tokens]
    return {"content": entries, "refusal": None}


def _entry(token: TokenLogprob | TopLogprob) -> dict[str, Any]:
    return {"token": token.token, "logprob": token.logprob, "bytes": list(token.raw)}


def _decoder() -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder("utf-8")("replace")


@dataclass(slots=True)
class CompletionLogprobs:
    """Parallel lists, for a whole answer or for one chunk after the other."""

    _offset: int = 0
    """Characters of the text before the next token."""
    _decoder: codecs.IncrementalDecoder = field(default_factory=_decoder)

    def body(self, tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
        offsets = []
        for token in tokens:
            offsets.append(self._offset)
            self._offset += len(self._decoder.decode(bytes(token.raw)))
        return {
            "tokens": [token.token for token in tokens],
            "token_logprobs": [token.logprob for token in tokens],
            "top_logprobs": [_alternatives(token) for token in tokens],
            "text_offset": offsets,
        }


def _alternatives(token: TokenLogprob) -> dict[str, float] | None:
    """The chosen token is among them, whatever its place; of a prompt's first token nothing is known."""
    if token.logprob is None:
        return None
    return {**{top.token: top.logprob for top in reversed(token.top)}, token.token: token.logprob}
