"""Two ways from token ids to logits: the whole model here, and a chain of blocks. One sequence each."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol

import torch

from swarm.worker.families.model import LoadedModel
from swarm.worker.families.plain import PlainSequence

if TYPE_CHECKING:
    from swarm.worker.chain.session import ChainSession


class Stepper(Protocol):
    """One sequence in one model; a context manager that frees what the sequence held."""

    route: Literal["local", "chain"]

    @property
    def servers(self) -> tuple[str, ...]:
        """The other nodes on the route, in order."""
        ...

    def __enter__(self) -> Stepper: ...

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None: ...

    def step(self, ids: Sequence[int]) -> torch.Tensor:
        """Adds these tokens to the sequence; the [vocabulary] logits that follow the last of them."""
        ...

    def step_all(self, ids: Sequence[int]) -> torch.Tensor:
        """As `step`; the [tokens, vocabulary] logits that follow each of them."""
        ...


class LocalStepper:
    """The family's own forward with its own cache."""

    route: Literal["local", "chain"] = "local"
    servers: tuple[str, ...] = ()

    def __init__(self, model: LoadedModel) -> None:
        self._sequence = PlainSequence(model.causal)

    def __enter__(self) -> LocalStepper:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        del self._sequence

    def step(self, ids: Sequence[int]) -> torch.Tensor:
        return self._sequence.step(ids)

    def step_all(self, ids: Sequence[int]) -> torch.Tensor:
        return self._sequence.step_all(ids, len(ids))


class ChainStepper:
    """Embedding, last norm and head here; the layers by a `ChainSession`."""

    route: Literal["local", "chain"] = "chain"

    def __init__(self, model: LoadedModel, session: ChainSession) -> None:
        self._session = session
        self._causal = model.with_remote_layers(session.step)
        self._past = 0

    @property
    def servers(self) -> tuple[str, ...]:
        return self._session.servers

    def __enter__(self) -> ChainStepper:
        self._session.__enter__()
        return self

    def __exit__(self, *details: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._session.__exit__(*details)

    def step(self, ids: Sequence[int]) -> torch.Tensor:
        return self._forward(ids, 1)[-1]

    def step_all(self, ids: Sequence[int]) -> torch.Tensor:
        return self._forward(ids, len(ids))

    @torch.inference_mode()
    def _forward(self, ids: Sequence[int], keep: int) -> torch.Tensor:
        inputs = torch.tensor([ids], device=self._causal.device)
        positions = torch.arange(self._past, self._past + len(ids), device=inputs.device).unsqueeze(0)
        made = self._causal(input_ids=inputs, position_ids=positions, use_cache=False, logits_to_keep=keep)
        self._past += len(ids)
        logits: torch.Tensor = made.logits[0]
        return logits
