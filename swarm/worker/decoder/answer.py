"""The text of one answer while it is made: what may be shown, and which tokens stand for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from swarm.domain.ids import FinishReason
from swarm.domain.tokens import TokenLogprob, TopLogprob
from swarm.wire.worker_commands import Generate
from swarm.wire.worker_events import Generated
from swarm.worker.decoder.detokenizer import Detokenizer
from swarm.worker.decoder.sampler import Chosen
from swarm.worker.decoder.steppers import Stepper
from swarm.worker.decoder.stops import StopFinder
from swarm.worker.decoder.token_texts import TokenTexts


@dataclass(slots=True)
class Told:
    """A token, and its part of the text. Of tokens that share a character the last one has it."""

    chosen: Chosen
    text: str | None = None
    """None while it is a part of an unfinished character."""
    raw: bytes = b""


class Answer:
    """Pieces stand for whole tokens, so that another node can go on behind any of them."""

    def __init__(
        self, command: Generate, decode: Callable[[Sequence[int]], str], texts: TokenTexts, prompt: Sequence[int]
    ) -> None:
        self._id, self._with_logprobs = command.id, command.sampling.logprobs is not None
        self._texts = texts
        self._detokenizer, self._stops = Detokenizer(decode, prompt), StopFinder(command.sampling.stop)
        self._held: deque[Told] = deque()
        self._free = 0
        """Characters that the stop strings have let through and no piece has shown. Below 0 where an answer goes on:
        the stop strings hold back what was shown already."""
        self.tokens = 0

    @property
    def stopped(self) -> bool:
        return self._stops.found

    def recall(self, tokens: Sequence[int]) -> list[str]:
        """Tokens whose text was sent before: it comes to the same state, and nothing of them is shown again. The text
        that each of them completes."""
        texts = []
        for token in tokens:
            piece = self.add(Chosen(token, 0.0))
            texts.append(piece.text if piece else "")
        rest = "".join(told.text or "" for told in self._held)
        if texts:
            texts[-1] += rest
        self._free -= len(rest)
        self._held.clear()
        return texts

    def add(self, chosen: Chosen) -> Generated | None:
        """The piece that this token completes, if it completes one."""
        self._take(chosen)
        ready, chars = 0, 0
        for at, told in enumerate(self._held, start=1):
            if told.text is None or chars + len(told.text) > self._free:
                break
            chars += len(told.text)
            if told.text:
                ready = at
        return self._piece([self._held.popleft() for _ in range(ready)]) if ready else None

    def finish(self, end: Chosen | None, reason: FinishReason, prompt_tokens: int, stepper: Stepper) -> Generated:
        """The last piece. `end` is the token that ended the answer, which has no text."""
        self._spell(self._detokenizer.finish())
        self._free += len(self._stops.finish())
        rest = list(self._held)
        if end is not None:
            self.tokens += 1
        return self._piece(
            rest,
            end,
            finish_reason="stop" if self.stopped else reason,
            prompt_tokens=prompt_tokens,
            completion_tokens=self.tokens,
            route=stepper.route,
            servers=stepper.servers,
        )

    def _take(self, chosen: Chosen) -> None:
        self.tokens += 1
        self._held.append(Told(chosen))
        self._spell(self._detokenizer.add(chosen.token))

    def _spell(self, text: str) -> None:
        """Gives the text to the tokens that it was made of."""
        if text:
            spell([told for told in self._held if told.text is None], text, self._texts)
            self._free += len(self._stops.add(text))

    def _shown_of(self, tokens: Iterable[Told]) -> Iterator[Told]:
        """Up to the stop string, where one was found; it may begin within a token."""
        for told in tokens:
            text = told.text or ""
            if self.stopped and len(text) >= self._free:
                if self._free > 0:
                    said_before = len(text.encode()) - len(told.raw)  # By tokens that share its first character.
                    yield Told(told.chosen, text[: self._free], text[: self._free].encode()[said_before:])
                self._free = 0
                return
            self._free -= len(text)
            yield told

    def _piece(self, tokens: Sequence[Told], end: Chosen | None = None, **last: Any) -> Generated:
        shown = list(self._shown_of(tokens))
        made = [told.chosen for told in tokens] + ([end] if end else [])
        return Generated(
            self._id,
            "".join(told.text or "" for told in shown),
            len(made),
            sum(chosen.logprob for chosen in made),
            tuple(chosen.token for chosen in made),
            token_logprobs=token_logprobs(shown, self._texts) if self._with_logprobs else (),
            **last,
        )


def spell(tokens: Sequence[Told], text: str, texts: TokenTexts) -> None:
    """Gives a text to the tokens that it was made of: to the last, and its bytes to each as far as they are known."""
    raws = [texts.raw(told.chosen.token) for told in tokens[:-1]]
    rest = text.encode()
    if not rest.startswith(b"".join(raws)):
        raws = [b""] * len(raws)
    for told, raw in zip(tokens, [*raws, rest[len(b"".join(raws)) :]], strict=False):
        told.text, told.raw = "", raw
    if tokens:
        tokens[-1].text = text


def token_logprobs(tokens: Iterable[Told], texts: TokenTexts) -> tuple[TokenLogprob, ...]:
    return tuple(_token_logprob(told, texts) for told in tokens)


def _token_logprob(told: Told, texts: TokenTexts) -> TokenLogprob:
    chosen, text, raw = told.chosen, told.text or "", tuple(told.raw)
    top = (
        # The chosen one shows the same here and there, so that it is found.
        TopLogprob(text, raw, logprob) if token == chosen.token else _alternative(token, logprob, texts)
        for token, logprob in chosen.top
    )
    return TokenLogprob(text, raw, chosen.logprob, tuple(top))


def _alternative(token: int, logprob: float, texts: TokenTexts) -> TopLogprob:
    return TopLogprob(texts.text(token), tuple(texts.raw(token)), logprob)
