"""Where a family's model keeps its decoder layers, and the same model around a stand-in for them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from swarm.worker.families.support import CannotBeCut

LAYER_LISTS = ("layers", "h", "blocks")
"""What families call the list of their decoder layers."""
AnswerForm = Literal["tensor", "tuple"]
"""What a family's loop takes from its layers: the hidden states, or a tuple that begins with them."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What has to be known of a family to put a stand-in in the place of its layers."""

    path: tuple[str, ...]
    """The attributes that lead to the list of decoder layers: `("model", "layers")`."""
    form: AnswerForm


class RemoteLayer(nn.Module):
    """Stands in a family's model for decoder layers that are run elsewhere."""

    def __init__(self, run: Callable[[torch.Tensor], torch.Tensor], form: AnswerForm) -> None:
        super().__init__()
        self._run, self._form = run, form

    def forward(self, hidden: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor | tuple[torch.Tensor, None]:
        made = self._run(hidden).to(hidden.device, hidden.dtype)
        return made if self._form == "tensor" else (made, None)


def layers_path(causal: nn.Module) -> tuple[str, ...]:
    """The attributes that lead to the list of decoder layers, `("model", "layers")`; the outermost such list."""
    found = [
        name
        for name, module in causal.named_modules()
        if isinstance(module, nn.ModuleList) and name.rpartition(".")[2] in LAYER_LISTS
    ]
    if not found:
        raise CannotBeCut(f"{type(causal).__name__} keeps its decoder layers where this version does not look for them")
    return tuple(min(found, key=lambda name: name.count(".")).split("."))


def base_of(causal: nn.Module, path: Sequence[str]) -> nn.Module:
    """The module whose forward runs the layers."""
    return causal.get_submodule(".".join(path[:-1]))


def with_layers(causal: Any, path: Sequence[str], layers: Sequence[nn.Module]) -> Any:
    """The same model around other layers. Only the shells of the modules on the path are copied."""
    shell = copy.copy(causal)
    inner = nn.ModuleList(layers) if len(path) == 1 else with_layers(getattr(causal, path[0]), path[1:], layers)
    shell._modules = {**causal._modules, path[0]: inner}
    return shell


@torch.inference_mode()
def layout_of(causal: Any) -> Layout:
    """Tries the model around a stand-in. Raises `CannotBeCut`, also where it does not go by the position ids.

    A hop sees only its own tokens, so a family that counts the tokens itself would start again at zero each time."""
    path = layers_path(causal)
    token = min(5, causal.config.vocab_size - 1)
    form = _fitting_form(causal, path, token)
    both = _embedded(causal, path, form, [token, token], first=0)
    if not torch.allclose(both[:, 0], both[:, 1]):
        later = _embedded(causal, path, form, [token], first=1)
        if not torch.allclose(later[:, 0], both[:, 1], rtol=1e-3, atol=1e-5):
            raise CannotBeCut("its embedding takes no position ids")
    return Layout(path, form)


def _fitting_form(causal: Any, path: Sequence[str], token: int) -> AnswerForm:
    problem: Exception | str = "its logits have another shape"
    # No family takes a tuple for hidden states, but some take the first of a batch for a tuple's first.
    forms: tuple[AnswerForm, ...] = ("tuple", "tensor")
    for form in forms:
        try:
            shell = with_layers(causal, path, [RemoteLayer(lambda hidden: hidden, form)])
            if ends_forward(shell, [token, token], 0).shape[:2] == (1, 2):
                return form
        except Exception as error:  # the other form fails in as many ways as there are families
            problem = error
    raise CannotBeCut(f"its model does not run around a stand-in for its layers: {problem}")


def _embedded(causal: Any, path: Sequence[str], form: AnswerForm, ids: list[int], first: int) -> torch.Tensor:
    seen: list[torch.Tensor] = []

    def keep(hidden: torch.Tensor) -> torch.Tensor:
        seen.append(hidden)
        return hidden

    ends_forward(with_layers(causal, path, [RemoteLayer(keep, form)]), ids, first)
    return seen[0]


def ends_forward(shell: Any, ids: Sequence[int], first: int) -> torch.Tensor:
    """Logits [1, tokens, vocabulary] of tokens that begin at position `first`, from a model with stand-in layers."""
    inputs = torch.tensor([list(ids)], device=shell.device)
    positions = torch.arange(first, first + len(ids), device=inputs.device).unsqueeze(0)
    logits: torch.Tensor = shell(input_ids=inputs, position_ids=positions, use_cache=False).logits
    return logits
