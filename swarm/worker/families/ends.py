"""What a model has around its layers: the embedding before, the last norm and the head after them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from swarm.worker.families.model import LoadedModel

Run = Callable[[torch.Tensor], torch.Tensor]


class Place(NamedTuple):
    """Where in its sequence a hidden state stands: some heads look at more than the state."""

    token: int
    position: int


class Ends:
    """The family's own forward around layers that run elsewhere; used by one thread at a time."""

    def __init__(self, model: LoadedModel) -> None:
        self._causal = model.with_remote_layers(self._layers)
        self._device = model.causal.device
        self._run: Run = _stop

    def embedding(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """[rows, tokens] to the [rows, tokens, hidden] that the first layer is given."""
        try:
            self._forward(ids, positions, _stop)
        except _Embedded as reached:
            return reached.hidden
        raise AssertionError("the model did not run its layers")

    def logits(self, hidden: torch.Tensor, places: Sequence[Place], rows: int | None = None) -> torch.Tensor:
        """[rows, tokens, hidden] after the last layer to [rows, tokens, vocabulary]; by default each place is a row."""
        shape = rows or len(places), -1
        ids = torch.tensor([place.token for place in places]).reshape(shape)
        positions = torch.tensor([place.position for place in places]).reshape(shape)
        return self._forward(ids, positions, lambda _: hidden, keep=0)

    def states(self, ids: torch.Tensor, positions: torch.Tensor, run: Run) -> torch.Tensor:
        """[rows, tokens], with `run` for the layers, to the [rows, tokens, hidden] that the head would be given."""
        self._run = run
        with torch.inference_mode():
            made = self._causal.base_model(
                input_ids=ids.to(self._device), position_ids=positions.to(self._device), use_cache=False
            )
        hidden: torch.Tensor = made.last_hidden_state
        return hidden

    def around(self, ids: torch.Tensor, positions: torch.Tensor, run: Run, keep: int) -> torch.Tensor:
        """[rows, tokens], with `run` for the layers, to [rows, keep, vocabulary] after the last ones; 0 keeps all."""
        return self._forward(ids, positions, run, keep)

    @torch.inference_mode()
    def _forward(self, ids: torch.Tensor, positions: torch.Tensor, run: Run, keep: int = 1) -> torch.Tensor:
        self._run = run
        made = self._causal(
            input_ids=ids.to(self._device),
            position_ids=positions.to(self._device),
            use_cache=False,
            logits_to_keep=keep,
        )
        logits: torch.Tensor = made.logits
        return logits

    def _layers(self, hidden: torch.Tensor) -> Any:
        return self._run(hidden)


class _Embedded(Exception):
    """The layers are reached, and nothing behind them is wanted."""

    def __init__(self, hidden: torch.Tensor) -> None:
        self.hidden = hidden


def _stop(hidden: torch.Tensor) -> torch.Tensor:
    raise _Embedded(hidden)
