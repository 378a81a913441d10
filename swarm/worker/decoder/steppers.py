"""Two ways from token ids to logits: the whole model here, and a chain of blocks. One sequence each."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol

import torch

from swarm.domain.nodes import BlockSpan
from swarm.domain.tokens import HopProbe
from swarm.worker.compute.parts import EmbeddingPart, HeadPart, Reader, WholePart
from swarm.worker.compute.thread import Compute
from swarm.worker.families.caches import SequenceCache
from swarm.worker.families.ends import Ends, Place
from swarm.worker.families.model import LoadedModel
from swarm.worker.families.plain import PlainSequence

if TYPE_CHECKING:
    from swarm.worker.chain.session import ChainSession

LOGITS_AT_ONCE = 64
"""Positions whose logits a caller of `step_all` holds at once: 40 MB for a vocabulary of 150,000."""


class Stepper(Protocol):
    """One sequence in one model; a context manager that frees what the sequence held."""

    route: Literal["local", "chain"]

    @property
    def servers(self) -> tuple[str, ...]:
        """The other nodes on the route, in order."""
        ...

    @property
    def hops(self) -> tuple[HopProbe, ...]:
        """The route, and how long each hop took with the last step; empty where there is none."""
        ...

    def __enter__(self) -> Stepper: ...

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None: ...

    def step(self, ids: Sequence[int]) -> torch.Tensor:
        """Adds these tokens to the sequence; the [vocabulary] logits that follow the last of them."""
        ...

    def step_all(self, ids: Sequence[int]) -> torch.Tensor:
        """As `step`; the [tokens, vocabulary] logits that follow each of them."""
        ...

    def states(self, ids: Sequence[int]) -> torch.Tensor:
        """As `step`; the [tokens, hidden] that the head would be given of each of them."""
        ...


class LocalStepper:
    """The whole model here, its steps joined with those of other sequences."""

    route: Literal["local", "chain"] = "local"
    servers: tuple[str, ...] = ()
    hops: tuple[HopProbe, ...] = ()

    def __init__(self, compute: Compute, whole: WholePart, cache: SequenceCache) -> None:
        self._compute, self._whole, self._cache = compute, whole, cache

    def __enter__(self) -> LocalStepper:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._cache.close()

    def step(self, ids: Sequence[int]) -> torch.Tensor:
        return self._compute.begin(self._whole, self._cache, torch.tensor([ids])).result()[0, -1]

    def step_all(self, ids: Sequence[int]) -> torch.Tensor:
        return self._compute.begin(self._whole.all_logits, self._cache, torch.tensor([ids])).result()[0]

    def states(self, ids: Sequence[int]) -> torch.Tensor:
        return self._compute.begin(self._whole.states, self._cache, torch.tensor([ids])).result()[0]


class PlainStepper:
    """A whole model that cannot be cut, by its own forward; its steps are not joined with others'."""

    route: Literal["local", "chain"] = "local"
    servers: tuple[str, ...] = ()
    hops: tuple[HopProbe, ...] = ()

    def __init__(self, model: LoadedModel) -> None:
        self._sequence = PlainSequence(model.causal)

    def __enter__(self) -> PlainStepper:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        del self._sequence

    def step(self, ids: Sequence[int]) -> torch.Tensor:
        return self._sequence.step(ids)

    def step_all(self, ids: Sequence[int]) -> torch.Tensor:
        return self._sequence.step_all(ids, len(ids))

    def states(self, ids: Sequence[int]) -> torch.Tensor:
        return self._sequence.states(ids)


class ChainStepper:
    """Embedding, last norm and head here; the layers by a `ChainSession`."""

    route: Literal["local", "chain"] = "chain"

    def __init__(
        self, compute: Compute, parts: tuple[EmbeddingPart, HeadPart], ends: Ends, session: ChainSession
    ) -> None:
        """`ends` are this stepper's own."""
        self._compute, (self._embedding, self._head) = compute, parts
        self._ends, self._session, self._reader = ends, session, Reader()

    @property
    def servers(self) -> tuple[str, ...]:
        return self._session.servers

    @property
    def hops(self) -> tuple[HopProbe, ...]:
        return self._session.hops

    def __enter__(self) -> ChainStepper:
        self._session.__enter__()
        return self

    def __exit__(self, *details: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._session.__exit__(*details)

    def step(self, ids: Sequence[int]) -> torch.Tensor:
        def leave(hidden: torch.Tensor) -> Future[torch.Tensor]:
            return self._compute.begin(self._head, self._reader, hidden[:, -1:])

        return self._session.run(self._embed(ids), leave)[0, -1]

    def step_all(self, ids: Sequence[int]) -> torch.Tensor:
        places = [Place(token, self._reader.past + at) for at, token in enumerate(ids)]
        hidden = self._session.step(self._embed(ids).result())
        return self._ends.logits(hidden, places, rows=1)[0]

    def states(self, ids: Sequence[int]) -> torch.Tensor:
        positions = torch.arange(self._reader.past, self._reader.past + len(ids)).unsqueeze(0)
        hidden = self._session.step(self._embed(ids).result())
        return self._ends.states(torch.tensor([ids]), positions, lambda _: hidden)[0]

    def _embed(self, ids: Sequence[int]) -> Future[torch.Tensor]:
        return self._compute.begin(self._embedding, self._reader, torch.tensor([ids]))


class Steppers:
    """Opens steppers for one loaded model; their steps are joined."""

    def __init__(self, compute: Compute, model: LoadedModel) -> None:
        # Without the blocks where they are a part: those of a node that serves others meanwhile must go.
        self._compute, self._model = compute, model if model.whole else replace(model, blocks=None)
        self._parts = (EmbeddingPart(Ends(model)), HeadPart(Ends(model))) if model.layout else None
        self._whole = WholePart(model.blocks, Ends(model)) if model.whole and model.blocks else None

    def local(self, max_tokens: int) -> LocalStepper | PlainStepper:
        """For a sequence of at most `max_tokens` in a model that is whole."""
        if self._whole is None:
            return PlainStepper(self._model)
        blocks = self._whole.model
        cache = blocks.new_cache(BlockSpan(0, len(blocks.layers)), max_tokens)
        return LocalStepper(self._compute, self._whole, cache)

    def chain(self, session: ChainSession) -> ChainStepper:
        """Over a session of a model that can be cut."""
        assert self._parts is not None
        return ChainStepper(self._compute, self._parts, Ends(self._model), session)
