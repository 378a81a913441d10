"""A source of text that says what it was told to say."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from swarm.domain.generation import GenerationRequest, Provenance, TextDelta, Usage
from swarm.domain.ids import FinishReason, NodeId
from swarm.ports.clock import Clock

PROMPT_TOKENS = 5


@dataclass
class ScriptedSource:
    """A `TextSource`: one token a piece. With a clock and `delay_s` it waits before each."""

    pieces: Sequence[str] = ("The answer ", "is 70.")
    node: NodeId = NodeId("here")  # noqa: RUF009
    model: str = "demo"
    model_digest: str = "digest-demo"
    finish_reason: FinishReason = "stop"
    logprob: float = -0.1
    clock: Clock | None = None
    delay_s: float = 0.0
    error: Exception | None = None
    """Raised after `error_after` pieces."""
    error_after: int = 0
    ends: bool = True
    """False: breaks the port's contract by stopping without the last delta."""
    is_resumable: bool = True
    """Its pieces have token ids: their numbers in the answer. It goes on behind those that a request brings."""
    requests: list[GenerationRequest] = field(default_factory=list)
    closed: int = 0
    """Streams that are no longer open, however they ended."""

    @property
    def open(self) -> int:
        return len(self.requests) - self.closed

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[TextDelta, None]:
        self.requests.append(request)
        try:
            begin = len(request.resume.tokens) if request.resume else 0
            for index, piece in list(enumerate(self.pieces))[begin:]:
                self._raise_if_due(index)
                if self.clock is not None and self.delay_s:
                    await self.clock.sleep(self.delay_s)
                yield TextDelta(piece, 1, self.logprob, (index,) if self.is_resumable else ())
            self._raise_if_due(len(self.pieces))
            if self.ends:
                yield self._last()
        finally:
            self.closed += 1

    def _raise_if_due(self, index: int) -> None:
        if self.error is not None and index == self.error_after:
            raise self.error

    def _last(self) -> TextDelta:
        return TextDelta(
            finish_reason=self.finish_reason,
            usage=Usage(PROMPT_TOKENS, len(self.pieces)),
            provenance=Provenance("local", (self.node,), self.model, self.model_digest),
        )
