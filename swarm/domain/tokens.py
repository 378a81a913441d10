"""Token ids, their text and probabilities, and what a model tells besides answers."""

from __future__ import annotations

from dataclasses import dataclass

from swarm.domain.ids import RouteName

MOST_TOKENS = 2**20
"""Of a text that is cut into tokens, or put together from them: more keeps a node from everything else for seconds."""
LEAST_LOGPROB = -9999.0
"""In place of minus infinity, which JSON does not know."""


@dataclass(frozen=True, slots=True)
class TokenPrompt:
    """Raw text to continue, given as token ids of the model that is asked."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TopLogprob:
    """One of the most likely tokens at a place."""

    token: str
    raw: tuple[int, ...]
    """The token's bytes."""
    logprob: float
    """Natural logarithm; at least `LEAST_LOGPROB`."""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token of an answer or an echoed prompt. `token` shows bytes that are no whole character as U+FFFD; the `raw`
    of all tokens, joined, are the text."""

    token: str
    raw: tuple[int, ...]
    """The token's bytes."""
    logprob: float | None
    """Of the model, before temperature and filters; None for the first token of a prompt."""
    top: tuple[TopLogprob, ...] = ()
    """The most likely tokens at this place, best first."""


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """A prompt as the served model cuts it."""

    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    """As the vocabulary spells them."""
    context_tokens: int


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One vector of Euclidean length 1 for each input."""

    vectors: tuple[tuple[float, ...], ...]
    prompt_tokens: int
    model: str


@dataclass(frozen=True, slots=True)
class HopProbe:
    """One hop of a chain, as the last token took it."""

    node: str
    """Its node id, or libp2p id where it says none; empty: this process."""
    start: int
    end: int
    """Blocks `start` to before `end`."""
    seconds: float
    """From here to there, through the blocks, and back."""
    compute_s: float | None = None
    """Of that, what the blocks took, as the node says; None where it says nothing."""


@dataclass(frozen=True, slots=True)
class ModelProbe:
    """Real tokens, computed to see that the model answers."""

    seconds: float
    route: RouteName
    hops: tuple[HopProbe, ...] = ()
    """In order of the route; empty where the whole model is here."""
