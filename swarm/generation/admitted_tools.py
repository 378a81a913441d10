"""What the model does besides answering, behind the same slots as answers where it computes as much."""

from __future__ import annotations

from collections.abc import Sequence

from swarm.domain.generation import Prompt
from swarm.domain.tokens import Embeddings, ModelProbe, TokenizedText
from swarm.domain.tools import TemplateOptions, ToolSpec
from swarm.generation.admission import Admission
from swarm.ports.model_tools import ModelTools

LINE = "embeddings"
"""Requests for vectors are one client among those who take turns."""


class AdmittedTools:
    """`ModelTools`. A probe waits for nobody: it is to tell whether the model answers while it is busy, too."""

    def __init__(self, tools: ModelTools, admission: Admission) -> None:
        self._tools, self._admission = tools, admission

    async def tokenize(
        self,
        prompt: Prompt,
        *,
        tools: tuple[ToolSpec, ...] = (),
        template: TemplateOptions = TemplateOptions(),  # noqa: B008
        add_special_tokens: bool = True,
    ) -> TokenizedText:
        return await self._tools.tokenize(prompt, tools=tools, template=template, add_special_tokens=add_special_tokens)

    async def detokenize(self, ids: Sequence[int]) -> str:
        return await self._tools.detokenize(ids)

    async def embed(self, inputs: Sequence[Prompt]) -> Embeddings:
        """Raises `Unavailable` where the queue is full."""
        async with self._admission.slot(LINE):
            return await self._tools.embed(inputs)

    async def probe(self) -> ModelProbe:
        return await self._tools.probe()
