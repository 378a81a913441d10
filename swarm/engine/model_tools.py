"""What the worker's model does besides answering, for the API."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from swarm.domain.generation import Prompt
from swarm.domain.tokens import Embeddings, ModelProbe, TokenizedText
from swarm.domain.tools import TemplateOptions, ToolSpec
from swarm.engine.engine import Engine
from swarm.wire.worker_commands import Detokenize, Embed, Probe, Tokenize
from swarm.wire.worker_events import Detokenized, Embedded, Probed, Tokenized


class WorkerTools:
    """`ports.ModelTools` by the worker of this node."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def tokenize(
        self,
        prompt: Prompt,
        *,
        tools: tuple[ToolSpec, ...] = (),
        template: TemplateOptions = TemplateOptions(),  # noqa: B008
        add_special_tokens: bool = True,
    ) -> TokenizedText:
        reply = await self._engine.ask(lambda id: Tokenize(id, prompt, tools, template, add_special_tokens))
        assert isinstance(reply, Tokenized)
        return TokenizedText(reply.ids, reply.tokens, reply.context_tokens)

    async def detokenize(self, ids: Sequence[int]) -> str:
        reply = await self._engine.ask(lambda id: Detokenize(id, tuple(ids)))
        assert isinstance(reply, Detokenized)
        return reply.text

    async def embed(self, inputs: Sequence[Prompt]) -> Embeddings:
        reply = await self._engine.ask(lambda id: Embed(id, tuple(inputs)))
        assert isinstance(reply, Embedded)
        vectors = tuple(struct.unpack(f"<{len(vector) // 4}f", vector) for vector in reply.vectors)
        return Embeddings(vectors, reply.prompt_tokens, self._engine.choice.id)

    async def probe(self) -> ModelProbe:
        reply = await self._engine.ask(Probe)
        assert isinstance(reply, Probed)
        return ModelProbe(reply.seconds, reply.route, reply.hops)
