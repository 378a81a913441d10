"""What modules take of memory, quantised or not."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn


def bytes_of(modules: Iterable[nn.Module]) -> int:
    """Of their parameters, as torchao or torch holds them; what several modules share counts once."""
    parameters = {id(parameter): parameter for module in modules for parameter in module.parameters()}
    held = 0
    for tensor in parameters.values():
        names = getattr(tensor, "tensor_data_names", ())
        held += sum(getattr(tensor, name).nbytes for name in names) if names else tensor.nbytes
    return held
