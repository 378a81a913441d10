"""Decoder layers with their large matrices in 8 or 4 bits, by torchao; what stands around the layers stays as it is."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, TorchAoConfig

from swarm.domain.ids import Quantization
from swarm.worker.failures import LoadFailure
from swarm.worker.families.layout import layers_path
from swarm.worker.families.support import CannotBeCut

GROUP = 32
"""Weights along a row that share one scale at 4 bits; the shortest, and so the most exact, that the kernels take."""
ROWS = 16
"""Rows of a matrix come in multiples of this in torch's 4-bit kernels; smaller ones, such as the routers of experts,
are not worth it at 8 bits either."""


def quantizer(config: Any, kind: Quantization, device: str, dtype: torch.dtype) -> TorchAoConfig:
    """What transformers quantises by while it loads, tensor by tensor. Raises `LoadFailure`."""
    if find_spec("torchao") is None:
        raise LoadFailure("--quantization needs torchao: pip install 'local-swarm[quantization]'")
    if device == "mps":
        raise LoadFailure("torchao quantises for processors and for CUDA only; start without --quantization")
    model = _skeleton(config)
    matrices = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    layers = _layers_name(model) + "."
    kept = [name for name, matrix in matrices.items() if not (name.startswith(layers) and _fits(matrix))]
    if len(kept) == len(matrices):
        raise LoadFailure(
            f"The layers of {config.model_type} hold no matrices that can be quantised; start without --quantization"
        )
    return TorchAoConfig(_method(kind, device, dtype), modules_to_not_convert=kept)


def _method(kind: Quantization, device: str, dtype: torch.dtype) -> Any:
    """Weights only: activations keep their format, so that a token does not depend on those beside it."""
    from torchao.quantization import Int4WeightOnlyConfig, Int8WeightOnlyConfig

    if kind == "int8":
        return Int8WeightOnlyConfig(version=2)
    if dtype != torch.bfloat16:
        raise LoadFailure(f"4 bits go with bfloat16, not with {dtype}")
    if device == "cuda":
        return Int4WeightOnlyConfig(group_size=GROUP, int4_packing_format="tile_packed_to_4d")
    from torchao.prototype.quantization.int4 import PrototypeInt4WeightOnlyConfig

    return PrototypeInt4WeightOnlyConfig(group_size=GROUP, set_inductor_config=False)


@dataclass(frozen=True, slots=True)
class LayerMakeup:
    """What the decoder layers of a model are made of, all of them together."""

    layers: int
    numbers: int
    """Weights."""
    rows: int
    """Of the matrices that can be quantised."""
    matrix_numbers: int
    """Weights in these."""

    def layer_bytes(self, kind: Quantization, dtype: torch.dtype) -> int:
        """Mean size of a layer in memory."""
        others = (self.numbers - self.matrix_numbers) * dtype.itemsize
        return int((others + self._matrix_bytes(kind, dtype)) / self.layers)

    def _matrix_bytes(self, kind: Quantization, dtype: torch.dtype) -> float:
        match kind:
            case "int8":
                return self.matrix_numbers + self.rows * dtype.itemsize
            case "int4":
                return self.matrix_numbers / 2 + 2 * self.matrix_numbers / GROUP * dtype.itemsize
            case _:
                return self.matrix_numbers * dtype.itemsize

    def in_words(self, kind: Quantization) -> str:
        """What part of the layers is held in fewer bits; a sentence."""
        return f"{self.matrix_numbers / self.numbers:.0%} of the layers' weights are held in {kind}."


def makeup_of(config: Any) -> LayerMakeup:
    """Raises `LoadFailure` where the family keeps its layers where nothing looks for them."""
    model = _skeleton(config)
    layers = model.get_submodule(_layers_name(model))
    fitting = [matrix for matrix in layers.modules() if isinstance(matrix, nn.Linear) and _fits(matrix)]
    return LayerMakeup(
        len(layers),
        sum(parameter.numel() for parameter in layers.parameters()),
        sum(matrix.out_features for matrix in fitting),
        sum(matrix.weight.numel() for matrix in fitting),
    )


def _layers_name(model: Any) -> str:
    try:
        return ".".join(layers_path(model))
    except CannotBeCut as error:
        raise LoadFailure(f"{error}, so that they cannot be quantised; start without --quantization") from error


def _fits(matrix: nn.Linear) -> bool:
    return matrix.in_features % GROUP == 0 and matrix.out_features % ROWS == 0


def _skeleton(config: Any) -> Any:
    """The family's model without any memory for its weights."""
    with torch.device("meta"):
        return MODEL_FOR_CAUSAL_LM_MAPPING[type(config)](config)
