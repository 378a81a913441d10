"""The prompt as the first piece of an answer, with the log-probabilities of its tokens where they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from swarm.wire.worker_commands import Generate
from swarm.wire.worker_events import Generated
from swarm.worker.decoder.answer import Told, spell, token_logprobs
from swarm.worker.decoder.detokenizer import Detokenizer
from swarm.worker.decoder.sampler import Chosen, chosen
from swarm.worker.decoder.steppers import LOGITS_AT_ONCE, Stepper
from swarm.worker.decoder.token_texts import TokenTexts


class Echo:
    def __init__(
        self, command: Generate, prompt: Sequence[int], decode: Callable[[Sequence[int]], str], texts: TokenTexts
    ) -> None:
        self._id, self._prompt, self._decode, self._texts = command.id, list(prompt), decode, texts
        self._given = command.prompt
        self._alternatives = command.sampling.logprobs
        self._told = [Chosen(prompt[0], 0.0)]

    @property
    def needs_logits(self) -> bool:
        return self._alternatives is not None

    def read(self, stepper: Stepper, ids: Sequence[int], check: Callable[[], None]) -> torch.Tensor:
        """Reads the prompt; the logits after its last token. `check` is called before each piece."""
        for start in range(0, len(ids), LOGITS_AT_ONCE):
            check()
            logits = stepper.step_all(ids[start : start + LOGITS_AT_ONCE]).float().cpu()
            for place, token in zip(logits, ids[start + 1 : start + 1 + LOGITS_AT_ONCE], strict=False):
                self._told.append(chosen(place, token, self._alternatives or 0))
        return logits[-1]

    def piece(self) -> Generated:
        """It counts no tokens: they are the prompt's."""
        text = self._given if isinstance(self._given, str) else self._decode(self._prompt)
        if not self.needs_logits:
            return Generated(self._id, text, 0, 0.0)
        first, *rest = token_logprobs(self._spelled(), self._texts)
        return Generated(self._id, text, 0, 0.0, token_logprobs=(replace(first, logprob=None), *rest))

    def _spelled(self) -> list[Told]:
        tokens = [Told(chosen) for chosen in self._told]
        detokenizer, first = Detokenizer(self._decode), 0
        for at, told in enumerate(tokens, start=1):
            text = detokenizer.add(told.chosen.token) if at < len(tokens) else self._rest(detokenizer, told)
            if text:
                spell(tokens[first:at], text, self._texts)
                first = at
        return tokens

    def _rest(self, detokenizer: Detokenizer, last: Told) -> str:
        return detokenizer.add(last.chosen.token) + detokenizer.finish()
