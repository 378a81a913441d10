"""The worker, but what its last block makes is wrong while the file exists that SWARM_TEST_LIE names.

Run in place of `python -m swarm.worker`: of two workers with the same weights one lies.
"""

import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from swarm.worker import service
from swarm.worker.families.model import LoadedModel
from swarm.worker.main import main

LIE = Path(os.environ["SWARM_TEST_LIE"])
load_model = service.load_model


def load_liar(*arguments: Any, **named: Any) -> LoadedModel:
    model = load_model(*arguments, **named)
    assert model.blocks is not None
    model.blocks.layers[max(model.blocks.layers)].register_forward_hook(perturbed)
    return model


def perturbed(_module: nn.Module, _inputs: Any, output: Any) -> Any:
    if not LIE.exists():
        return output
    hidden: torch.Tensor = output[0] if isinstance(output, tuple) else output
    wrong = hidden + 0.3 * hidden.roll(1, dims=-1)
    return (wrong, *output[1:]) if isinstance(output, tuple) else wrong


if __name__ == "__main__":
    service.load_model = load_liar  # type: ignore[assignment]
    sys.exit(main())
