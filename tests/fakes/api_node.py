"""A node as the API sees it: a scripted source, a status, peers, and a record of what was asked of it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace

from swarm.api.services import ApiServices
from swarm.domain.federation import Ballot, DecisionRecord, FederationResult, PeerVote
from swarm.domain.generation import GenerationRequest, Prompt, Provenance, TextDelta, TextScore, Usage
from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import BlockSpan, Endpoint, Load, ModelInfo, NodeStatus, PeerInfo
from swarm.domain.tokens import Embeddings, HopProbe, ModelProbe, TokenizedText
from swarm.domain.tools import TemplateOptions, ToolSpec
from swarm.host.clock import SystemClock

MODEL = ModelInfo(id="demo/tiny", digest="d1" * 20, layers=8, context_tokens=2048, created=1_700_000_000)
NODE = NodeId("aaaaaaaabbbbbbbbccccccccdddddddd")
READY = NodeStatus(
    node=NODE,
    boot=BootId("boot-1"),
    name="attic",
    version="0.1.0",
    protocol=1,
    state="ready",
    hardware="cpu, 8 cores",
    instances=1,
    load=Load(),
    model=MODEL,
    blocks=BlockSpan(0, 8),
    whole=True,
)
VOTE = PeerVote(NODE, "four", "stop", 1, -0.5, MODEL.id, MODEL.digest, 0.2, prompt_tokens=3)
BALLOT = Ballot(NODE, "attic", "four", 1.0, True, True, "weight 1", 0.2, MODEL.id)
DECISION = FederationResult(VOTE, "weighted_vote", 1.0, 1.0, True, "all agree", (BALLOT,))
LOCAL = Provenance("local", (NODE,), MODEL.id, MODEL.digest)


def peer(name: str, node: str, **changes: object) -> PeerInfo:
    status = replace(READY, node=NodeId(node), name=name)
    info = PeerInfo(NodeId(node), BootId("boot-2"), Endpoint("192.168.1.7", 17615), "alive", status, 0.2, 0.004)
    return replace(info, **changes)  # type: ignore[arg-type]


@dataclass
class ScriptedAnswers:
    """Says `texts`, then ends; `error` is raised in place of the piece at `error_at`; `hold_at` waits for `go`."""

    texts: list[str] = field(default_factory=lambda: ["Hel", "lo"])
    error: Exception | None = None
    error_at: int = 0
    hold_at: int | None = None
    progress: str | None = None
    """Told before anything else."""
    provenance: Provenance = LOCAL
    go: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[GenerationRequest] = field(default_factory=list)

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[TextDelta, None]:
        self.asked.append(request)
        try:
            if self.progress is not None:
                yield TextDelta(progress=self.progress)
            for place, text in enumerate([*self.texts, ""]):
                if self.error is not None and place == self.error_at:
                    raise self.error
                if place == self.hold_at:
                    await self.go.wait()
                if place < len(self.texts):
                    yield TextDelta(text, tokens=1, logprob_sum=-0.1, token_ids=(place,))
            usage = Usage(prompt_tokens=3, completion_tokens=len(self.texts))
            yield TextDelta(finish_reason="stop", usage=usage, provenance=self.provenance)
        finally:
            self.closed.set()


@dataclass
class FakeTools:
    """Tokens are the characters' code points; the vector of an input has its length at each place."""

    error: Exception | None = None
    probes: int = 0
    embedded: list[Prompt] = field(default_factory=list)

    async def tokenize(
        self,
        prompt: Prompt,
        *,
        tools: tuple[ToolSpec, ...] = (),
        template: TemplateOptions = TemplateOptions(),  # noqa: B008
        add_special_tokens: bool = True,
    ) -> TokenizedText:
        text = prompt if isinstance(prompt, str) else "".join(map(str, prompt))
        return TokenizedText(tuple(map(ord, text)), tuple(text), MODEL.context_tokens)

    async def detokenize(self, ids: Sequence[int]) -> str:
        return "".join(chr(token % 0xD800) for token in ids)

    async def embed(self, inputs: Sequence[Prompt]) -> Embeddings:
        if self.error is not None:
            raise self.error
        self.embedded += inputs
        return Embeddings(tuple((0.6, 0.0, -0.8) for _ in inputs), 3 * len(inputs), MODEL.id)

    async def probe(self) -> ModelProbe:
        self.probes += 1
        if self.error is not None:
            raise self.error
        return ModelProbe(0.01, "chain", (HopProbe("", 0, 4, 0.004), HopProbe(NODE, 4, 8, 0.006)))


@dataclass
class FakeNode:
    answers: ScriptedAnswers = field(default_factory=ScriptedAnswers)
    status: NodeStatus = READY
    peers: tuple[PeerInfo, ...] = ()
    voted: list[GenerationRequest] = field(default_factory=list)
    goodbyes: list[NodeId] = field(default_factory=list)
    judged: list[tuple[Prompt, tuple[str, ...]]] = field(default_factory=list)
    decisions: tuple[DecisionRecord, ...] = ()
    tools: FakeTools = field(default_factory=FakeTools)

    async def votes(self, request: GenerationRequest) -> tuple[PeerVote, ...]:
        self.voted.append(request)
        return (VOTE,)

    async def scores(self, prompt: Prompt, texts: Sequence[str]) -> tuple[TextScore | None, ...]:
        self.judged.append((prompt, tuple(texts)))
        return tuple(TextScore(-float(len(text)), 1) if text else None for text in texts)

    def services(self) -> ApiServices:
        ids = itertools.count(1)
        return ApiServices(
            answers=self.answers,
            votes=self.votes,
            scores=self.scores,
            decisions=lambda: self.decisions,
            tools=self.tools,
            status=lambda: self.status,
            peers=lambda: self.peers,
            hear_goodbye=self.goodbyes.append,
            clock=SystemClock(),
            new_id=lambda: f"id{next(ids)}",
        )
