"""Who can say how likely an answer is."""

from __future__ import annotations

from typing import Protocol

from swarm.domain.generation import Prompt, TextScore


class TextScorer(Protocol):
    async def score(self, prompt: Prompt, text: str) -> TextScore:
        """Raises as a `TextSource` does before its first delta. A cancel frees what the reading held."""
        ...
