"""Real tokens, to see that the model answers and how long each hop takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from swarm.wire.worker_events import Probed
from swarm.worker.decoder.steppers import Stepper


def probe(id: str, tokenizer: Any, open_stepper: Callable[[int], Stepper]) -> Probed:
    """Raises `BlocksMissing`, and `ValueError` where the logits are no numbers."""
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    began = time.monotonic()
    with open_stepper(2) as stepper:
        # The first opens the way; the second takes each hop as long as one of an answer does.
        for _ in range(2):
            logits = stepper.step([start or 0])
            if not torch.isfinite(logits.max()):
                raise ValueError("the model's logits are not numbers")
        return Probed(id, time.monotonic() - began, stepper.route, stepper.hops)
