"""Attention masks of single tokens at different positions, as one batch.

What a token may see depends on its position alone, so the row of a batch is a row of the square mask that transformers
makes for a whole sequence. Those are made in bands of some positions and kept while they are in use.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from transformers.masking_utils import create_masks_for_generate

BAND = 32
"""Positions of which the rows are made at once."""
BANDS_KEPT = 64


class MaskRows:
    """Masks by layer type (under None where all layers have the same) for tokens that each have a past."""

    def __init__(self, config: Any, hidden_size: int, dtype: torch.dtype, device: torch.device) -> None:
        self._config = config
        self._hidden = torch.empty(1, BAND, hidden_size, dtype=dtype, device=device)
        self._bands: OrderedDict[int, dict[str | None, torch.Tensor]] = OrderedDict()

    def at(self, positions: Sequence[int], longest: int) -> dict[str | None, torch.Tensor]:
        """[rows, 1, 1, longest] for tokens at these positions, each at least 1; `longest` is above all of them."""
        bands = [self._band((position - 1) // BAND) for position in positions]
        return {
            kind: torch.cat(
                [
                    _as_long(band[kind][:, :, (position - 1) % BAND, None], longest)
                    for band, position in zip(bands, positions, strict=True)
                ]
            )
            for kind in bands[0]
        }

    def _band(self, number: int) -> dict[str | None, torch.Tensor]:
        if number in self._bands:
            self._bands.move_to_end(number)
            return self._bands[number]
        past = number * BAND + 1
        positions = torch.arange(past, past + BAND, device=self._hidden.device).unsqueeze(0)
        made = create_masks_for_generate(self._config, self._hidden, None, _Past(past), positions)
        self._bands[number] = made if isinstance(made, dict) else {None: made}
        if len(self._bands) > BANDS_KEPT:
            self._bands.popitem(last=False)
        return self._bands[number]


class _Past:
    """What the maker of masks asks of a cache."""

    is_compileable = False

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens

    def get_query_offset(self, *_: Any) -> int:
        return self._tokens

    def get_seq_length(self, *_: Any) -> int:
        return self._tokens

    def get_mask_sizes(self, query: int, *_: Any) -> tuple[int, int]:
        return self._tokens + query, 0


def _as_long(row: torch.Tensor, longest: int) -> torch.Tensor:
    missing = longest - row.shape[-1]
    if missing <= 0:
        return row[..., :longest]
    nothing = False if row.dtype == torch.bool else torch.finfo(row.dtype).min
    return torch.nn.functional.pad(row, (0, missing), value=nothing)
