"""A step of a sequence that is under way."""

from __future__ import annotations

from concurrent.futures import Future

import torch


class Step(Future[torch.Tensor]):
    """Its result is what the model made of the step's tokens."""

    compute_s: float | None = None
    """Seconds that the model ran for it, with those that were in the same batch; None before, and where nobody says."""
