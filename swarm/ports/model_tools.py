"""What the served model does besides answering."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from swarm.domain.generation import Prompt
from swarm.domain.tokens import Embeddings, ModelProbe, TokenizedText
from swarm.domain.tools import TemplateOptions, ToolSpec


class ModelTools(Protocol):
    """All methods raise as a `TextSource` does before its first delta; a cancel frees what they held."""

    async def tokenize(
        self,
        prompt: Prompt,
        *,
        tools: tuple[ToolSpec, ...] = (),
        template: TemplateOptions = TemplateOptions(),  # noqa: B008
        add_special_tokens: bool = True,
    ) -> TokenizedText:
        """A conversation through the chat template, raw text as it is. `RequestError` where the template refuses it;
        a prompt beyond the context is no error here. `add_special_tokens` concerns raw text only."""
        ...

    async def detokenize(self, ids: Sequence[int]) -> str:
        """The text of these ids, special tokens included. `RequestError` for an id that the model does not have."""
        ...

    async def embed(self, inputs: Sequence[Prompt]) -> Embeddings:
        """One vector for each text or list of token ids. `RequestError` for an empty one and beyond the context."""
        ...

    async def probe(self) -> ModelProbe:
        """Computes one real token, on the chain over all its hops."""
        ...
